"""The inside of a worker process: take a job, do it, send what came of it, take the next.

A worker is a fresh interpreter, started by `reproduce.engines.process`, that lives for many jobs, so that the import of
torch is paid once. It obeys four rules:

* It stops when told: by a message of its parent, by SIGTERM, or by the end of its parent (the pipe closes, also when
  the parent was killed). `should_stop()` then turns true; a job that polls it saves its state and raises `Interrupted`.
* It ignores SIGINT, which a terminal sends to the whole process group: the parent decides.
* Its standard output and error are a file that belongs to the parent, which quotes the end of it when a job fails.
* What a job computes does not depend on which jobs ran before it: the number of threads, the environment variables and
  the global random generators are set anew before each.
"""

import faulthandler
import gc
import importlib
import os
import pickle
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import blake2b
from multiprocessing.connection import Connection
from queue import SimpleQueue
from types import FrameType
from typing import Any

from reproduce.engines.jobs import Interrupted

Notify = Callable[[Mapping[str, Any]], None]
Task = Callable[[str, Mapping[str, Any], Notify], dict[str, Any]]

ORPHAN_SECONDS = 5.0  # for a worker whose parent is gone to save the state of its job
NOTIFY_SECONDS = 0.05  # progress that comes faster is dropped: nobody could read it

_stopping = False  # a plain bool, since a signal handler that took a lock could wait for itself


def should_stop() -> bool:
    """Whether the job that runs in this process was asked to stop: save the state, then raise `Interrupted`."""
    return _stopping


def resolve(task: str) -> Task:
    """The function that `"package.module:function"` names."""
    module, _, name = task.partition(":")
    function: Task = getattr(importlib.import_module(module), name)
    return function


def main() -> None:
    """Serve the parent until it says that there is nothing more to do. Arguments: sys.path, pipe, threads, task."""
    descriptor, threads, task = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    del sys.argv[1:]  # the jobs' own command lines must not see these arguments
    inbox: SimpleQueue[tuple[str, bytes] | None] = SimpleQueue()
    _handle_signals(inbox)
    faulthandler.enable()  # a crash in native code leaves its Python stack in the output
    connection = Connection(descriptor)
    threading.Thread(target=_listen, args=(connection, inbox), daemon=True).start()
    environment = dict(os.environ)
    while (job := inbox.get()) is not None and not _stopping:
        answer = _perform(*job, task, threads, connection)
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            connection.send(answer)
        except OSError:  # the parent is gone
            break
        _restore(environment)
        gc.collect()  # a Trainer and its model refer to each other: memory would be freed late
        if not gc.get_freeze_count():
            gc.freeze()  # what the first job imported: to look through it took longer than most measurements
    if _stopping:
        sys.exit(128 + signal.SIGTERM)


def _handle_signals(inbox: "SimpleQueue[tuple[str, bytes] | None]") -> None:
    """The parent started this process with these signals blocked, so that none comes before it is ready for them."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        _request_stop(inbox)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGHUP, signal.SIGTERM})


def _request_stop(inbox: "SimpleQueue[tuple[str, bytes] | None]") -> None:
    global _stopping
    _stopping = True
    inbox.put(None)  # wakes an idle worker


def _listen(connection: Connection, inbox: "SimpleQueue[tuple[str, bytes] | None]") -> None:
    """In a thread of its own: pass jobs on; notice, also in the middle of a job, "stop" and the end of the parent."""
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            _request_stop(inbox)
            time.sleep(ORPHAN_SECONDS)
            os._exit(1)
        if message == "quit":
            inbox.put(None)
        elif message == "stop":
            _request_stop(inbox)
        else:
            inbox.put(message)


def _perform(key: str, job: bytes, task: str, threads: int, connection: Connection) -> tuple[str, float, Any]:
    """Do one job; the answer is ("done", seconds, pickled result), ("failed", _, text) or ("interrupted", _, "")."""
    start = time.perf_counter()
    with suppress(OSError):
        connection.send(("begun", 0.0, None))
    try:
        execute = resolve(task)
        _prepare(key, threads)
        kind, payload = pickle.loads(job)
        result = execute(kind, payload, _notifier(connection))
        return "done", time.perf_counter() - start, _pickled(result)
    except Interrupted:
        return "interrupted", time.perf_counter() - start, ""
    except BaseException as error:  # also SystemExit: a command line that refuses its options exits
        if _stopping and isinstance(error, SystemExit):  # Lightning answers SIGTERM by a SystemExit of its own
            return "interrupted", time.perf_counter() - start, ""
        return "failed", time.perf_counter() - start, traceback.format_exc()


def _pickled(result: dict[str, Any]) -> bytes:
    try:
        return pickle.dumps(result)
    except Exception as error:
        raise TypeError(f"the job's result cannot be sent to the parent, return plain data: {error}") from None


def _prepare(key: str, threads: int) -> None:
    """Threads and global generators as the job alone decides; a task without torch does not pay for importing it."""
    seed = int.from_bytes(blake2b(key.encode(), digest_size=4).digest(), "big")
    random.seed(seed)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(seed)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
        torch.manual_seed(seed)


def _restore(environment: dict[str, str]) -> None:
    if os.environ != environment:
        os.environ.clear()
        os.environ.update(environment)


def _notifier(connection: Connection) -> Notify:
    last = float("-inf")

    def notify(state: Mapping[str, Any]) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= NOTIFY_SECONDS:
            last = now
            plain = {
                str(name): value if isinstance(value, int | float) else str(value) for name, value in state.items()
            }
            with suppress(OSError):  # the parent is gone: `should_stop` says so
                connection.send(("progress", 0.0, plain))

    return notify
