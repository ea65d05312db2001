"""Tasks for the engines' tests: small, and without torch, so that a worker starts in a tenth of a second."""

import os
import random
import signal
import sys
import time
from pathlib import Path

from reproduce.engines import pool
from reproduce.engines.jobs import Interrupted


def execute(kind, payload, notify):
    """Do what the function of this module that `kind` names does."""
    return globals()[kind](payload, notify)


def echo(payload, notify):
    return {"pid": os.getpid(), **payload}


def timed(payload, notify):
    start = time.monotonic()
    time.sleep(payload["seconds"])
    return {"start": start, "end": time.monotonic(), "pid": os.getpid()}


def fail(payload, notify):
    print("printed before the failure")
    print("and on standard error", file=sys.stderr)
    raise RuntimeError("this job is meant to fail")


def leave(payload, notify):
    sys.exit(2)


def die(payload, notify):
    print("about to die", flush=True)
    os.kill(os.getpid(), payload.get("signal", signal.SIGKILL))
    time.sleep(60)


def unpicklable(payload, notify):
    return {"function": lambda: None}


class Ill:
    """Can be pickled, and not unpickled."""

    def __reduce__(self):
        return (_refuse, ())


def _refuse():
    raise RuntimeError("refuses to be unpickled")


def ill(payload, notify):
    return {"value": Ill()}


def report(payload, notify):
    for epoch in range(payload["of"]):
        notify({"epoch": epoch + 1, "of": payload["of"]})
        time.sleep(payload.get("pause", 0.0))
    return {}


def state(payload, notify):
    """What a job could see of the jobs before it."""
    seen = {"draw": random.random(), "leak": os.environ.get("BSGAP_LEAK"), "argv": sys.argv[1:]}
    os.environ["BSGAP_LEAK"] = "yes"
    return seen


def threads(payload, notify):
    early = "torch" in sys.modules
    import torch

    return {
        "early": early,
        "torch": torch.get_num_threads(),
        "variables": {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")},
    }


def polite(payload, notify):
    """Run until asked to stop, then say so in a file and give up, as training does."""
    folder = Path(payload["folder"])
    (folder / f"{payload['name']}.pid").write_text(str(os.getpid()))
    while not pool.should_stop():
        time.sleep(0.02)
    (folder / f"{payload['name']}.saved").write_text("state")
    raise Interrupted


def deaf(payload, notify):
    """Run on whatever one is told."""
    (Path(payload["folder"]) / f"{payload['name']}.pid").write_text(str(os.getpid()))
    time.sleep(120)
