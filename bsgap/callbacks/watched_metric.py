"""A metric that a callback watches: each value is looked at once, when it has been measured anew."""

from typing import Any

from bsgap.errors import UsageError


class WatchedMetric:
    """The values of one metric, from whatever logs it: the training, a validation, or `Curves`.

    Lightning keeps the last value of a metric until there is another, so that one who looks after each epoch sees a
    validation of every other epoch twice. Here a value is fresh once.

    Args:
        name: Name of the metric.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._fresh: float | None = None
        self._found = False  # at any time
        self._validated = False
        self._last: Any = None  # as Lightning keeps it

    def state_dict(self) -> dict[str, Any]:
        """A value that has not been looked at, and whether there ever was one."""
        return {"fresh": self._fresh, "found": self._found}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._fresh, self._found = state["fresh"], state["found"]

    def evaluated(self, trainer: Any, values: dict[str, float]) -> None:
        """Take the value from an evaluation of `Curves`; the one before the first step is no result of training."""
        if self.name in values:
            self._found = True
            if trainer.global_step:
                self._fresh = _over_devices(trainer, values[self.name])

    def validated(self, trainer: Any) -> None:
        """Take the value from a validation that has just ended."""
        if not trainer.sanity_checking:
            self._validated = True
            self._note(trainer)

    def take(self, trainer: Any) -> float | None:
        """The value since the last time that this was asked, at the end of an epoch; None where there is no new one.

        Raises:
            UsageError: Nothing by that name has been logged, and nothing more is to be expected.
        """
        self._note(trainer)
        if not self._found and (self._validated or not trainer.enable_validation):
            names = ", ".join(sorted(trainer.callback_metrics)) or "nothing"
            raise UsageError(
                f"ramp.monitor: no metric {self.name} has been logged at the end of an epoch, but {names}. Log it with"
                " on_epoch=True, or watch another."
            )
        value, self._fresh = self._fresh, None
        return value

    def _note(self, trainer: Any) -> None:
        value = trainer.callback_metrics.get(self.name)
        if value is not None and value is not self._last:  # another object: it has been computed anew
            self._last, self._found = value, True
            self._fresh = _over_devices(trainer, value)


def _over_devices(trainer: Any, value: Any) -> float:
    return float(trainer.strategy.reduce(value, reduce_op="mean"))
