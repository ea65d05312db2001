"""Ctrl-C and SIGTERM as a request to stop in good order."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from bsgap.callbacks import resume
from bsgap.errors import Interrupted

ECHO_SECONDS = 0.3
"""`timeout`, `uv run` and others pass on what the terminal has sent: within this time it is no second Ctrl-C."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Inside, the first Ctrl-C or SIGTERM asks a training run to save and stop; a second Ctrl-C ends it at once.

    What is no training loop, such as the reading of the data, ends at once on the first.

    Raises:
        Interrupted: The run was ended at once.
    """
    if threading.current_thread() is not threading.main_thread():  # where Python allows no handlers
        yield
        return
    asked: list[float] = []

    def answer(number: int, frame: FrameType | None) -> None:
        again = bool(asked) and number == signal.SIGINT and time.monotonic() - asked[0] > ECHO_SECONDS
        asked.append(time.monotonic())
        if again or not resume.asking:
            raise Interrupted("stopped at once; the same command continues from the last resume point, if there is one")

    before = {number: signal.signal(number, answer) for number in (signal.SIGINT, signal.SIGTERM)}
    question, resume.should_stop = resume.should_stop, lambda: bool(asked)
    try:
        yield
    finally:
        resume.should_stop = question
        for number, handler in before.items():
            signal.signal(number, handler)
