"""A metric that a callback watches: each value is looked at once, when it has been measured anew."""

from typing import Any

import torch
from torch import Tensor

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
        self._fresh: Tensor | float | None = None  # of this process
        self._found = False  # at any time
        self._validated = False
        self._others: set[str] = set()

    def state_dict(self) -> dict[str, Any]:
        """A value that has not been looked at, and whether there ever was one."""
        return {"fresh": None if self._fresh is None else float(self._fresh), "found": self._found}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._fresh, self._found = state["fresh"], state["found"]

    def evaluated(self, trainer: Any, values: dict[str, float]) -> None:
        """Take the value from an evaluation of `Curves`; the one before the first step is no result of training."""
        self._others |= set(values)
        if self.name in values:
            self._found = True
            if trainer.global_step:
                self._fresh = values[self.name]

    def validated(self, trainer: Any) -> None:
        """Take the value from a validation that has just ended."""
        if not trainer.sanity_checking:
            self._validated = True
            self._note(trainer)

    def take(self, trainer: Any) -> float | None:
        """The value since the last time that this was asked, at the end of an epoch; None where there is no new one.

        All devices have to ask: it is the mean over them.

        Raises:
            UsageError: Nothing by that name has been logged, and nothing more is to be expected.
        """
        self._note(trainer)
        value, self._fresh = _over_devices(trainer, self._fresh), None
        self._found = self._found or value is not None
        if not self._found and (self._validated or not trainer.enable_validation):
            names = ", ".join(sorted({*trainer.callback_metrics, *self._others})) or "nothing"
            raise UsageError(
                f"ramp.monitor: no metric {self.name} has been logged at the end of an epoch, but {names}. Log it in"
                " training_step or in a validation, with on_epoch=True, or watch another."
            )
        return value

    def _note(self, trainer: Any) -> None:
        """Take what the loop in hand has logged since its epoch or validation began: what is older is not among it."""
        for on_step in (False, True):
            value = trainer._results.metrics(on_step)["callback"].get(self.name)
            if value is not None:
                self._fresh, self._found = value, True
                return


def _over_devices(trainer: Any, value: Tensor | float | None) -> float | None:
    """Mean over the devices that have a value; None where none has."""
    if trainer.world_size == 1:
        return None if value is None else float(value)
    own = [0.0, 0.0] if value is None else [float(value), 1.0]
    sums = trainer.strategy.reduce(torch.tensor(own, device=trainer.strategy.root_device), reduce_op="sum")
    return float(sums[0] / sums[1]) if sums[1] else None
