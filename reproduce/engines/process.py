"""A worker process, seen from its parent.

A fresh interpreter rather than a fork (torch's threads do not survive one), and a plain `subprocess` rather than
`multiprocessing`, which would import the caller's main module again and could not be given an environment.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from multiprocessing.connection import Pipe
from typing import Any

from reproduce.engines.jobs import Job

_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from reproduce.engines.pool import main; main()"
_THREADS = (  # read by OpenMP, MKL, OpenBLAS and Accelerate when they are loaded: set before the process starts
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
# glibc gives every large freed tensor back to the kernel, which zeroes its pages anew a moment later: that was a third
# of the processor time of a convolutional network's step. Keeping the pages changes no number.
_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(100 << 30),
    "MALLOC_TOP_PAD_": str(128 << 20),
}
_SIGNALS = {signal.SIGINT, signal.SIGHUP, signal.SIGTERM}
TAIL_BYTES = 4000  # of a worker's output that are quoted when its job fails


class Worker:
    """One worker process and the job it has.

    Attributes:
        job: The job that it was given and has not answered for, or None when it is idle.
        begun: Whether it has said that it began that job.
        connection: The pipe; readable when a message has come or the process has ended.
    """

    def __init__(self, task: str, threads: int) -> None:
        self.job: Job | None = None
        self.begun = False
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  (closed in `reap`)
        self._offset = 0
        self.connection, theirs = Pipe()
        # Blocked signals are inherited: none can hit the child before it has said what to do with them.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, json.dumps(sys.path), str(theirs.fileno()), str(threads), task],
                env={**_MEMORY, **os.environ, **dict.fromkeys(_THREADS, str(threads))},
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            theirs.close()  # else the pipe would stay open when the child ends

    def give(self, job: Job) -> None:
        """Start the job.

        Raises:
            Exception: whatever pickling the payload raises; the worker is then idle as before.
        """
        content = pickle.dumps((job.kind, dict(job.payload)))
        self._offset = os.fstat(self._output.fileno()).st_size
        self.job, self.begun = job, False
        self._send((job.key, content))

    def stop(self) -> None:
        """Ask it to save the state of its job and to end."""
        self._send("stop")

    def quit(self) -> None:
        """Ask it to end once it has no job."""
        self._send("quit")

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def reap(self, seconds: float) -> None:
        """Wait for its end, at most so long, then kill it; free what belongs to it."""
        try:
            self._process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.connection.close()
        self._output.close()

    def cause_of_death(self) -> tuple[bool, str]:
        """Whether it ended because somebody sent it SIGTERM, and in words how it ended."""
        code = self._process.wait()  # soon, as a worker without its pipe ends itself
        if code < 0:
            number = -code
            name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
            hint = " (the system does that when memory runs out)" if number == signal.SIGKILL else ""
            return number == signal.SIGTERM, f"The worker process was ended by {name}{hint}."
        return code == 128 + signal.SIGTERM, f"The worker process ended by itself, with exit code {code}."

    def output(self) -> str:
        """The end of what the worker has printed since it was given its job, ready to stand below a traceback."""
        descriptor = self._output.fileno()
        size = os.fstat(descriptor).st_size
        start = max(self._offset, size - TAIL_BYTES)
        # pread: the file's position is shared with the child, which writes there
        text = os.pread(descriptor, size - start, start).decode(errors="replace").strip()
        return f"\nLast output of the worker:\n{text}\n" if text else ""

    def receive(self) -> tuple[str, float, Any] | None:
        """The next message, or None when the process has ended."""
        try:
            message: tuple[str, float, Any] = self.connection.recv()
        except (EOFError, OSError):
            return None
        return message

    def _send(self, message: str | tuple[str, bytes]) -> None:
        with suppress(OSError):  # it has ended: `receive` says so
            self.connection.send(message)
