"""Ctrl-C and SIGTERM as a request to stop, for as long as jobs run."""

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

ECHO_SECONDS = (
    0.3  # `timeout`, `uv run` and others pass on what the terminal has already sent: that is no second signal
)


class StopSignals:
    """Context in which the first SIGINT, SIGTERM or SIGHUP only sets `received`; a second one sets `insistent`.

    The second also calls `kill` at once, and from then on the caller's own handlers are in force again, so that a third
    ends the process in any case. Outside of the main thread, where Python allows no handlers, the context does nothing.
    """

    def __init__(self, kill: Callable[[], None]) -> None:
        self.received = False
        self.insistent = False
        self._kill = kill
        self._first = 0.0
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:  # under nohup SIGHUP stays ignored
                    self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self.received:
            self.received = True
            self._first = now
        elif now - self._first > ECHO_SECONDS:
            self.insistent = True
            self._restore()
            self._kill()

    def _restore(self) -> None:
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, handler)
