"""How a batch size grows as training goes on: pure functions of the examples seen, for `BatchSizeRamp`."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from numbers import Integral, Real
from typing import Any, Literal, get_args

from bsgap.errors import UsageError

Coupling = Literal["keep-ratio", "linear", "square-root", "none"]
"""How the learning rate follows the batch size m, from m0 at the start: by m/m0 (`keep-ratio`, of which `linear` is
another name), by √(m/m0), or not at all."""

Last = Literal["keep", "drop"]

Parts = Callable[[int], int]
"""Batches of a loader that make one step of a size."""

_POWERS = {"keep-ratio": 1.0, "linear": 1.0, "square-root": 0.5, "none": 0.0}


@dataclass(frozen=True)
class BatchSizes:
    """Batch size as a step function of the examples seen; a loader of this package takes it as its batch size.

    >>> sizes = BatchSizes(32, ((100, 64), (300, 128)))
    >>> [sizes(seen) for seen in (0, 99, 100, 299, 300)]
    [32, 32, 64, 64, 128]

    Attributes:
        start: Size at the start.
        changes: (examples seen, size from there on), in order.
    """

    start: int
    changes: tuple[tuple[int, int], ...] = ()

    def __call__(self, seen: int) -> int:
        """Size of the batch that starts once `seen` examples have been passed."""
        passed = bisect_right(self.changes, seen, key=lambda change: change[0])
        return self.changes[passed - 1][1] if passed else self.start

    def then(self, seen: int, size: int) -> "BatchSizes":
        """The same, and another size from `seen` on."""
        return BatchSizes(self.start, (*self.changes, (seen, size)))


@dataclass(frozen=True)
class Growth:
    """When a batch size grows, and to what: m0·factor^k (rounded) after the k-th milestone, or the k-th of `sizes`.

    Milestones are listed, or come every so often, or are the moments at which a metric stops improving; then there are
    none here. They are counted in epochs or in steps (updates). Error messages call the options `ramp.NAME`.

    Attributes:
        factor: Growth at each milestone.
        sizes: The sizes instead of it.
        milestones: Epochs or steps after which it grows, in order.
        every: Grow every so many epochs or steps instead.
        unit: What milestones and every count.
        maximum: Largest size; larger ones are cut to it.

    Raises:
        UsageError: An option is out of range or contradicts another.
    """

    factor: float | None = None
    sizes: Sequence[int] | None = None
    milestones: Sequence[float] | None = None
    every: float | None = None
    unit: Literal["epochs", "steps"] = "epochs"
    maximum: int | None = None

    def __post_init__(self) -> None:
        if self.factor is not None and self.sizes is not None:
            raise UsageError("ramp.factor and ramp.sizes exclude each other: give one of them.")
        for name, value in (("factor", self.factor), ("every", self.every)):
            if value is not None and not _is_number(value):
                raise UsageError(f"ramp.{name} must be a number, got {value!r}.")
        if self.maximum is not None and not is_integer(self.maximum):
            raise UsageError(f"ramp.maximum must be an integer, got {self.maximum!r}.")
        if self.factor is not None and not (math.isfinite(self.factor) and self.factor > 1):
            reason = "never changes the batch" if self.factor == 1 else "does not let it grow"
            raise UsageError(
                f"ramp.factor must be above 1, got {self.factor:g}, which {reason}. Leave it out for a fixed size."
            )
        if self.maximum is not None and self.maximum < 1:
            raise UsageError(f"ramp.maximum must be at least 1 or absent, got {self.maximum}.")
        if self.unit not in ("epochs", "steps"):
            raise UsageError(f"ramp.unit must be epochs or steps, got {self.unit!r}.")
        _check_sizes(self.sizes)
        _check_milestones(self.milestones, self.every, self.unit)
        if self.sizes is not None and self.milestones is not None and len(self.sizes) != len(self.milestones):
            raise UsageError(
                f"ramp.sizes and ramp.milestones must be equally many, got {len(self.sizes)} and"
                f" {len(self.milestones)}: give one size for each milestone."
            )

    def size(self, start: int, milestones: int) -> int:
        """Size after so many milestones, from `start`.

        >>> [Growth(factor=2, every=20, maximum=1000).size(128, k) for k in range(5)]
        [128, 256, 512, 1000, 1000]
        """
        grown: float = start
        if milestones and self.sizes is not None:
            grown = self.sizes[min(milestones, len(self.sizes)) - 1]
        elif milestones and self.factor is not None:
            try:
                grown = round(start * self.factor**milestones)
            except OverflowError:
                grown = math.inf
        return int(min(grown, self.maximum if self.maximum is not None else 2**62))

    def plan(self, start: int, end: float = math.inf, most: int = 2**62) -> list[tuple[float, int]]:
        """(milestone, size from there on) of every change before `end`, counted as the milestones are.

        It ends with the first size above `most`, so that one that never comes to its end can be refused.

        >>> Growth(factor=2, every=20, maximum=1024).plan(128, end=100)
        [(20, 256), (40, 512), (60, 1024)]
        """
        found: list[tuple[float, int]] = []
        size = start
        last = 2**62 if self.factor is not None else len(self.sizes or ())
        for number, milestone in enumerate(self._milestones(), 1):
            if milestone >= end or number > last or size in (self.maximum, 2**62) or size > most:
                break
            grown = self.size(start, number)
            if grown != size:
                found.append((milestone, grown))
            size = grown
        return found

    def reached(self, start: int) -> list[int]:
        """Every size up to the largest, where each moment of growth may come."""
        found = [start]
        for number in count(1):
            grown = self.size(start, number)
            if grown == found[-1] and (self.factor is None or grown in (self.maximum, 2**62)):
                return found
            if grown != found[-1]:
                found.append(grown)
        raise AssertionError  # count never ends

    def _milestones(self) -> Iterator[float]:
        if self.every is not None:
            # Rounded, or the third of every 0.1 would be a hair past 0.3.
            return (round(number * self.every, 9) for number in count(1))
        return iter(self.milestones or ())


def by_epochs(start: int, plan: Iterable[tuple[float, int]], n: int) -> BatchSizes:
    """Sizes that change at epochs, whole or not, of `n` examples: from the first example at or past each milestone.

    >>> by_epochs(10, [(0.5, 20), (2, 40)], n=101).changes
    ((51, 20), (202, 40))
    """
    return BatchSizes(start, tuple((math.ceil(round(epochs * n, 6)), size) for epochs, size in plan))


def by_steps(
    start: int,
    plan: Iterable[tuple[float, int]],
    n: int,
    last: Last,
    *,
    whole_epochs: bool = False,
    parts: Parts = lambda _: 1,
) -> BatchSizes:
    """Sizes that change after so many steps, as a function of examples: steps are counted as `EpochLoader` takes them.

    >>> by_steps(10, [(3, 20), (5, 40)], n=100, last="keep").changes
    ((30, 20), (70, 40))
    >>> by_steps(10, [(3, 20), (12, 40)], n=100, last="keep", whole_epochs=True).changes
    ((100, 20), (200, 40))

    Args:
        start: Size at the start.
        plan: (steps, size from there on), in order.
        n: Examples in an epoch.
        last: Whether the smaller batch at the end of an epoch is kept or dropped.
        whole_epochs: Change at the end of the epoch in which a milestone falls.
        parts: Batches of the loader in a step of each size; it is the loader that keeps or drops its last batch.
    """
    seen, steps, size = 0, 0, start
    changes: dict[int, int] = {}
    for milestone, grown in plan:
        if milestone > steps:
            seen, steps = _after(seen, round(milestone) - steps, size, n, last, parts(size)), round(milestone)
        if whole_epochs and seen % n:
            steps += steps_in(n - seen % n, size, last, parts(size))
            seen += n - seen % n
        changes[seen] = size = grown
    return BatchSizes(start, tuple(changes.items()))


def within(
    sizes: BatchSizes,
    n: int,
    last: Last,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    parts: Parts = lambda _: 1,
) -> BatchSizes:
    """The changes that come before a budget of epochs or steps is spent; None for no such budget.

    `parts` is that of `by_steps`.

    >>> within(BatchSizes(10, ((50, 20), (100, 40), (200, 80))), 100, "keep", steps=9).changes
    ((50, 20), (100, 40))
    """
    seen, taken, size = 0, 0, sizes.start
    kept: list[tuple[int, int]] = []
    for at, grown in sizes.changes:
        more, seen = _until(seen, at, size, n, last, parts(size))
        taken += more
        if (epochs is not None and seen >= epochs * n) or (steps is not None and taken >= steps):
            break
        kept.append((at, grown))
        size = min(grown, n)
    return BatchSizes(sizes.start, tuple(kept))


def batches_in(examples: int, size: int, last: Last) -> int:
    """Batches of `size` in so many examples; the smaller last one counts where it is kept."""
    return examples // size if last == "drop" else -(-examples // size)


def steps_in(examples: int, size: int, last: Last, parts: int = 1) -> int:
    """Steps of `size` in so many examples, of which a loader gives each in so many batches.

    It is the loader that keeps or drops its last batch, so that the last step may have fewer of them.

    >>> steps_in(104, 16, "drop"), steps_in(104, 16, "drop", parts=2)
    (6, 7)
    """
    return -(-batches_in(examples, size // parts, last) // parts)


def schedule_steps(seen: int, *, n: int, base: int, last: Last, parts: int = 1) -> int:
    """Steps of a schedule that was made for batches of `base`, once `seen` examples have been passed.

    A step of batch m moves it on by m/base steps; what is left of a step is carried, and no epoch carries anything into
    the next one: after every epoch the schedule is where training with batches of `base` would have it.

    >>> [schedule_steps(seen, n=100, base=10, last="keep") for seen in (0, 40, 80, 100, 200)]
    [0, 4, 8, 10, 20]

    Args:
        seen: Examples passed since the start of training.
        n: Examples in an epoch.
        base: Batch size that the schedule is made for.
        last: Whether the smaller batch at the end of an epoch is kept or dropped.
        parts: Batches of a loader that make one of `base`; then it is the loader that keeps or drops its last batch.
    """
    epochs, position = divmod(seen, n)
    per_epoch = steps_in(n, base, last, parts)
    return epochs * per_epoch + min(position // base, per_epoch)


def share_of_rate(coupling: Coupling, growth: float) -> float:
    """What the learning rate is multiplied by where the batch is `growth` times that of the start.

    >>> [share_of_rate(coupling, 4.0) for coupling in ("keep-ratio", "square-root", "none")]
    [4.0, 2.0, 1.0]

    Raises:
        UsageError: There is no such rule.
    """
    if coupling not in _POWERS:
        raise UsageError(f"ramp.rate must be one of {', '.join(get_args(Coupling))}, got {coupling!r}.")
    return float(growth ** _POWERS[coupling])


def noise_scale(rate: float, batch_size: int, examples: int, momentum: float = 0.0) -> float:
    """Noise scale g = εN / (B(1 - μ)) of SGD with momentum for B far below N (Smith et al. 2017, arXiv:1711.00489).

    >>> round(noise_scale(0.1, 128, 50_000, momentum=0.9), 6)
    390.625

    Args:
        rate: Learning rate ε.
        batch_size: Examples B in a step, over all devices.
        examples: Training examples N.
        momentum: μ.
    """
    return rate * examples / (batch_size * (1 - momentum)) if momentum < 1 else math.inf


def _until(seen: int, until: int, size: int, n: int, last: Last, parts: int) -> tuple[int, int]:
    """Steps of `size` from a position to the first one that starts at or past another, and where that one starts."""
    taken = 0
    while seen < until:
        epoch, position = divmod(seen, n)
        left = steps_in(n - position, size, last, parts)
        if until < (epoch + 1) * n:
            steps = min(left, batches_in(until - seen, size, "keep"))
            return taken + steps, seen + steps * size if steps < left else (epoch + 1) * n
        whole = max(1, (until - seen) // n) if not position else 1
        taken, seen = taken + whole * left, (epoch + whole) * n
    return taken, seen


def _after(seen: int, steps: int, size: int, n: int, last: Last, parts: int) -> int:
    """Examples passed after `steps` steps of `size` from a position."""
    epoch, position = divmod(seen, n)
    per_epoch = steps_in(n, size, last, parts)
    while steps >= (left := steps_in(n - position, size, last, parts)):
        steps, epoch, position = steps - left, epoch + 1, 0
        if not steps:
            break
        epoch, steps = epoch + (steps - 1) // per_epoch, (steps - 1) % per_epoch + 1
    return epoch * n + position + steps * size


def counted(number: float, unit: str) -> str:
    """A number of epochs or steps in words.

    >>> counted(1, "epochs"), counted(1.5, "epochs")
    ('1 epoch', '1.5 epochs')
    """
    return f"{number:g} {unit.removesuffix('s') if number == 1 else unit}"


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def is_integer(value: Any) -> bool:
    """Whether a value is an integer, of Python or of NumPy, and no truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _check_list(name: str, values: Any, of: str, fits: Callable[[Any], bool]) -> None:
    if not isinstance(values, Sequence) or isinstance(values, str) or not all(fits(value) for value in values):
        raise UsageError(f"ramp.{name} must be a list of {of}, got {values!r}.")


def _check_sizes(sizes: Sequence[int] | None) -> None:
    if sizes is None:
        return
    _check_list("sizes", sizes, "batch sizes, which are integers", is_integer)
    if not sizes:
        raise UsageError("ramp.sizes must hold at least one batch size, got none. Leave it out for a fixed batch size.")
    for size, following in pairwise(sizes):
        if following <= size:
            raise UsageError(f"ramp.sizes must grow from one to the next, got {following} after {size}.")


def _check_milestones(milestones: Sequence[float] | None, every: float | None, unit: str) -> None:
    if milestones is not None and every is not None:
        raise UsageError("ramp.milestones and ramp.every exclude each other: give one of them.")
    if every is not None and not (math.isfinite(every) and every > 0):
        raise UsageError(f"ramp.every must be a positive number of {unit}, got {every:g}.")
    if milestones is not None:
        _check_list("milestones", milestones, f"numbers of {unit}", _is_number)
    if milestones is not None and not milestones:
        raise UsageError(f"ramp.milestones must hold at least one number of {unit}, got none.")
    before = 0.0
    for milestone in milestones or ():
        if not (math.isfinite(milestone) and milestone > 0):
            raise UsageError(
                f"ramp.milestones must be above 0, got {milestone:g}. The size at the start is that of the data."
            )
        if milestone == before:
            raise UsageError(f"ramp.milestones must differ, got {milestone:g} twice.")
        if milestone < before:
            raise UsageError(f"ramp.milestones must be in order, got {milestone:g} after {before:g}.")
        before = milestone
    for name, value in [("milestones", milestone) for milestone in milestones or ()] + [("every", every or 0)]:
        if unit == "steps" and value != int(value):
            raise UsageError(f"ramp.{name} must be whole numbers where ramp.unit is steps, got {value:g}.")
