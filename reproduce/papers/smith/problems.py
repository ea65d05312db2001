"""What smith trains at each scale: one wide residual network, under schedules that decay the rate or grow the batch."""

from dataclasses import dataclass

from reproduce.arms import Arm, Problem
from reproduce.study import Scalar

DECAY, HYBRID, GROW, RATE, MOMENTUM = "decay", "hybrid", "grow", "rate", "momentum"
LABELS = {
    DECAY: "decaying the rate", HYBRID: "hybrid", GROW: "growing the batch", RATE: "larger rate, growing",
    MOMENTUM: "more momentum, growing",
}  # fmt: skip
FACTOR = 5
"""By which the rate falls, or the batch grows, at a milestone."""
MORE_MOMENTUM = 0.98

_RATE = "model.init_args.optimizer.init_args.lr"
_MOMENTUM = "model.init_args.optimizer.init_args.momentum"
_NESTEROV = "model.init_args.optimizer.init_args.nesterov"


@dataclass(frozen=True)
class Phase:
    """Epochs between two milestones.

    Attributes:
        start: Epoch at which it starts.
        epochs: How many epochs it lasts.
        batch: Batch size.
        rate: Learning rate over the first one of its arm.
    """

    start: int
    epochs: int
    batch: int
    rate: float


@dataclass(frozen=True)
class Schedule:
    """The schedules of a scale.

    Attributes:
        batch: Batch size of the runs that decay the rate, and at which the batch starts to grow.
        maximum: The most that a batch grows to: a tenth of the data in the paper.
        milestones: Epochs at which the rate falls or the batch grows.
        epochs: Epochs of a run.
        examples: Training examples.
        rate: Learning rate at the start, that of the recipe; the larger rate is `FACTOR` times it.
    """

    batch: int
    maximum: int
    milestones: tuple[int, ...]
    epochs: int
    examples: int
    rate: float = 0.1

    def first_rate(self, key: str) -> float:
        """Learning rate at the start of an arm.

        >>> PAPER.first_rate("decay"), PAPER.first_rate("momentum")
        (0.1, 0.5)
        """
        return self.rate * (FACTOR if key in (RATE, MOMENTUM) else 1)

    def first(self, key: str) -> int:
        """Batch size at the start of an arm: in proportion to the rate, and to 1/(1 - momentum)."""
        return self.batch * {RATE: FACTOR, MOMENTUM: FACTOR * FACTOR}.get(key, 1)

    def most(self, key: str) -> int:
        """Batch size up to which an arm grows."""
        return {DECAY: self.batch, HYBRID: FACTOR * self.batch}.get(key, self.maximum)

    def phases(self, key: str) -> list[Phase]:
        """What an arm does from milestone to milestone.

        The batch grows by `FACTOR` as far as its maximum allows; the rate falls by what is left of `FACTOR`.

        >>> [(phase.batch, phase.rate) for phase in PAPER.phases("grow")]
        [(128, 1.0), (640, 1.0), (3200, 1.0), (5120, 0.32)]
        >>> [(phase.batch, phase.rate) for phase in PAPER.phases("hybrid")]
        [(128, 1.0), (640, 1.0), (640, 0.2), (640, 0.04)]
        """
        found, batch, rate = [], self.first(key), 1.0
        for start, end in zip((0, *self.milestones), (*self.milestones, self.epochs), strict=True):
            found.append(Phase(start, end - start, batch, round(rate, 12)))
            grown = min(batch * FACTOR, self.most(key))
            rate, batch = rate * grown / batch / FACTOR, grown
        return found

    def updates(self, key: str) -> float:
        """Optimizer steps of an arm in closed form: the sum of epochs x examples / batch size over its phases.

        A run that drops the last, smaller batch of an epoch takes up to one step an epoch less.

        >>> [round(PAPER.updates(key)) for key in ("decay", "grow", "rate", "momentum")]
        [78125, 29141, 6406, 2305]
        """
        return sum(phase.epochs * self.examples / phase.batch for phase in self.phases(key))

    def arms(
        self, *further: tuple[str, Scalar], rate: float | None = None, keys: tuple[str, ...] = ()
    ) -> tuple[Arm, ...]:
        """The ways of training.

        Args:
            further: Overrides that all of them have.
            rate: The rate at the start, where it is not the recipe's.
            keys: Which; all of them when none is named.
        """
        slow = () if rate is None else ((_RATE, rate),)
        growing = {key: (("ramp.factor", FACTOR), ("ramp.maximum", self.most(key))) for key in LABELS}
        fast = {
            key: (("data.init_args.batch_size", self.first(key)), (_RATE, self.first_rate(key)))
            for key in (RATE, MOMENTUM)
        }
        overrides = {
            DECAY: slow, HYBRID: growing[HYBRID] + slow, GROW: growing[GROW] + slow, RATE: growing[RATE] + fast[RATE],
            MOMENTUM: growing[MOMENTUM] + fast[MOMENTUM] + ((_MOMENTUM, MORE_MOMENTUM),),
        }  # fmt: skip
        return tuple(
            Arm(key, LABELS[key], overrides[key] + further, batch=self.first(key)) for key in keys or tuple(LABELS)
        )


PAPER = Schedule(128, 5120, (60, 120, 160), 200, 50_000)
SCHEDULES = {
    "demo": Schedule(8, 250, (3, 6, 8), 10, 1000),
    "laptop": Schedule(16, 500, (5, 10, 13), 16, 5_000, rate=0.02),
    "gpu": Schedule(128, 5120, (12, 24, 32), 40, 50_000),
    "paper": PAPER,
}
THREE = (DECAY, HYBRID, GROW)
PLAIN_RATE = 0.5
"""Rate of SGD without momentum, which the paper's text as read here leaves open."""


def _published(scale: str, seconds: float) -> dict[str, Problem]:
    """The paper's network under its optimizers; Figs 1 to 3 and the table have momentum, Fig. 4 the rest."""
    chosen = SCHEDULES[scale]
    network = "WRN-16-4 on CIFAR-10"

    def problem(recipe: str, label: str, words: str, arms: tuple[Arm, ...]) -> Problem:
        return Problem(recipe, label, f"{network}, {words}", "cifar10", arms, chosen.epochs, 50_000, seconds)

    return {
        "WRN": problem("wrn-cifar10", "WRN-16-4", "momentum", chosen.arms()),
        "WRN-Nesterov": problem(
            "wrn-cifar10", "Nesterov momentum", "Nesterov momentum", chosen.arms((_NESTEROV, True), keys=THREE)
        ),
        "WRN-SGD": problem(
            "wrn-cifar10", "plain SGD", "plain SGD", chosen.arms((_MOMENTUM, 0.0), rate=PLAIN_RATE, keys=THREE)
        ),
        "WRN-Adam": problem("wrn-cifar10-adam", "Adam", "Adam", chosen.arms(keys=THREE)),
    }


PROBLEMS: dict[str, dict[str, Problem]] = {
    "demo": {
        "WRN": Problem(
            "wrn-cifar10", "WRN-10-1, digits", "WRN-10-1 on 1,000 of the embedded digits (analogue)", "digits",
            SCHEDULES["demo"].arms(), 10, 1000, 0.3,
        ),
    },
    "laptop": {
        "WRN": Problem(
            "wrn-cifar10", "WRN-10-1, CIFAR-10", "WRN-10-1 on 5,000 images of CIFAR-10 (analogue)", "cifar10",
            SCHEDULES["laptop"].arms(), 16, 5_000, 5,
        ),
    },
    "gpu": _published("gpu", 10),
    "paper": _published("paper", 20),
}  # fmt: skip

MAIN = "WRN"
OTHERS = ("WRN-Nesterov", "WRN-SGD", "WRN-Adam")
SEEDS = {
    "demo": {MAIN: 3}, "laptop": {MAIN: 3}, "gpu": {MAIN: 3, **dict.fromkeys(OTHERS, 1)},
    "paper": dict.fromkeys((MAIN, *OTHERS), 3),
}  # fmt: skip
_ONE = "the smaller scales run the paper's main optimizer; use --scale gpu"
ABSENT = {scale: dict.fromkeys(OTHERS, _ONE) for scale in ("demo", "laptop")}
