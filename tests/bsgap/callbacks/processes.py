"""Start a script that trains on two processes of this machine, and read what each wrote down."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import ramped


def of_two(script, folder, seconds):
    """Run `script FOLDER`, at most so many seconds; what its ranks wrote as `FOLDER/<rank>.json`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here = {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(ramped.__file__).parent),
    }  # fmt: skip
    log = folder / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, str(script), str(folder)], env=os.environ | here, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(timeout=seconds)
        finally:
            if process.poll() is None:  # with its children, which are in its session
                os.killpg(process.pid, signal.SIGKILL)
    assert code == 0, log.read_text()[-4000:]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]
