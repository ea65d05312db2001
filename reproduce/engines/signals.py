"""Ctrl-C and SIGTERM as a request to stop, for as long as jobs run."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any


class StopSignals:
    """Context in which the first SIGINT, SIGTERM or SIGHUP only sets `received`; a second one calls `kill`.

    From the second on, the caller's own handlers are in force again, so that a third always ends the process. Outside
    of the main thread, where Python allows no handlers, the context does nothing.
    """

    def __init__(self, kill: Callable[[], None]) -> None:
        self.received = False
        self._kill = kill
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
        if self.received:
            self._restore()
            self._kill()
        self.received = True

    def _restore(self) -> None:
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, handler)
