"""When a metric has stopped improving: the rule of ReduceLROnPlateau, for what else may follow from it."""

import math
from typing import Any, Literal

from bsgap.errors import UsageError
from bsgap.optim.growth import is_integer


class Plateau:
    """Says when a metric has not improved for more than `patience` looks; it then begins to count anew.

    >>> plateau = Plateau("min", patience=1)
    >>> [plateau.passed(value) for value in (2.0, 1.0, 1.5, 1.2, 1.1, 0.9)]
    [False, False, False, True, False, False]

    Args:
        mode: Whether the metric improves as it falls (`min`) or rises (`max`).
        patience: Looks without improvement that are let pass.
        min_delta: Change that counts as improvement; at least so much. A value that is not a number is none.

    Raises:
        UsageError: An option is out of range.
    """

    def __init__(self, mode: Literal["min", "max"] = "min", patience: int = 0, min_delta: float = 0.0) -> None:
        if mode not in ("min", "max"):
            raise UsageError(f"ramp.mode must be min or max, got {mode!r}.")
        if not is_integer(patience):
            raise UsageError(f"ramp.patience must be an integer, got {patience!r}.")
        if patience < 0 or not min_delta >= 0:
            raise UsageError(f"ramp.patience and ramp.min_delta must be 0 or more, got {patience} and {min_delta:g}.")
        self.mode, self.patience, self.min_delta = mode, patience, min_delta
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self.best = math.inf if self.mode == "min" else -math.inf
        self.worse = 0

    def passed(self, value: float | None) -> bool:
        """Take a look, and say whether the metric has stopped improving; None is no look."""
        if value is None:
            return False
        gain = self.best - value if self.mode == "min" else value - self.best
        if gain > 0 and gain >= self.min_delta:
            self.best, self.worse = value, 0
            return False
        self.worse += 1
        if self.worse <= self.patience:
            return False
        self.worse = 0
        return True

    def state_dict(self) -> dict[str, Any]:
        """The best value, and looks since then."""
        return {"best": self.best, "worse": self.worse}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.best, self.worse = state["best"], state["worse"]
