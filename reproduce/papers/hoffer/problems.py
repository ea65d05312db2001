"""What hoffer trains at each scale: networks at a small and a large batch size, and what is done to close the gap."""

from dataclasses import dataclass

from reproduce.arms import Arm, Problem
from reproduce.study import Scalar

SB, LB, LR, GBN, RA = "SB", "LB", "LR", "GBN", "RA"
STAGES = (SB, LB, LR, GBN, RA)
"""The columns of Table 1; each from +LR on is added to the one before it."""
LABELS = {
    SB: "small batch", LB: "large batch", LR: "+ learning rate", GBN: "+ ghost BatchNorm", RA: "+ adapted regime",
}  # fmt: skip
MAIN = "ResNet44"
"""The network of Figs 1 and 2."""

_BATCH = "data.init_args.batch_size"
_RATE: tuple[str, Scalar] = ("rate.scaling", "square-root")


@dataclass(frozen=True)
class Sizes:
    """The batch sizes of a scale.

    Attributes:
        small: B_S, which is also the size of a ghost batch and the one that the rate is for.
        large: B_L.
        all: Those of Figs 1 and 2, ascending; they hold the other two.
    """

    small: int
    large: int
    all: tuple[int, ...]

    @property
    def ratio(self) -> int:
        """B_L/B_S, by which the adapted regime is longer."""
        return self.large // self.small

    def before(self, batch: int) -> str:
        """Key of the arm that trains at a batch size and changes nothing else."""
        return {self.small: SB, self.large: LB}.get(batch, f"B{batch}")

    def after(self, batch: int) -> str:
        """Key of the arm with the scaled rate and ghost batches; at the small batch size they change nothing."""
        return {self.small: SB, self.large: GBN}.get(batch, f"B{batch}+")

    def arms(self, epochs: int, *, further: bool) -> tuple[Arm, ...]:
        """The ways of training.

        Args:
            epochs: Epochs of a run whose regime is not adapted.
            further: Whether the batch sizes of Figs 1 and 2 are among them.
        """
        ghosts: tuple[str, Scalar] = ("model.init_args.ghost_batch", self.small)
        longer: tuple[tuple[str, Scalar], ...] = (
            ("decay.stretch", float(self.ratio)), ("trainer.max_epochs", epochs * self.ratio),
            ("curves.test_every", self.ratio),
        )  # fmt: skip

        def of(key: str, label: str, batch: int, *more: tuple[str, Scalar], long: float = 1.0) -> Arm:
            return Arm(key, label, ((_BATCH, batch), *more), longer=long, batch=batch)

        stages = (
            Arm(SB, LABELS[SB], batch=self.small),
            of(LB, LABELS[LB], self.large),
            of(LR, LABELS[LR], self.large, _RATE),
            of(GBN, LABELS[GBN], self.large, _RATE, ghosts),
            of(RA, LABELS[RA], self.large, _RATE, ghosts, *longer, long=self.ratio),
        )
        others = [batch for batch in self.all if batch not in (self.small, self.large)] if further else []
        return (
            *stages,
            *(of(self.before(batch), f"batch {batch}", batch) for batch in others),
            *(of(self.after(batch), f"batch {batch}, adapted", batch, _RATE, ghosts) for batch in others),
        )


SIZES = {
    "demo": Sizes(16, 128, (16, 32, 64, 128)),
    "laptop": Sizes(32, 256, (32, 128, 256, 512)),
    "gpu": Sizes(128, 1024, (128, 512, 1024, 4096)),
    "paper": Sizes(128, 4096, (128, 256, 512, 1024, 2048, 4096)),
}
MILESTONES = {
    ("demo", MAIN): (4.05, 6.1, 8.2), ("demo", "F1"): (2, 4, 6),
    ("laptop", MAIN): (4.05, 6.1, 8.2), ("laptop", "F1"): (2, 4, 6),
    ("gpu", MAIN): (8.1, 12.2, 16.4), ("gpu", "C1"): (12, 24, 36),
    ("paper", "F1"): (10, 20, 30), ("paper", MAIN): (81, 122, 164), ("paper", "VGG"): (81, 122, 164),
    ("paper", "WRN16-4"): (60, 120, 140), **{("paper", name): (60, 120, 180) for name in ("C1", "C3")},
}  # fmt: skip
"""Epochs at which the rate changes, where the regime is not adapted: those of the recipes."""
MEMORY = 10
"""Steps over which a momentum of 0.9 remembers, 1/(1 - 0.9): before it the weights move on by their momentum alone."""


def initial_phase(scale: str, name: str, key: str) -> tuple[int, int]:
    """First and last step of those that are fitted: from `MEMORY` to the last at the initial rate.

    >>> initial_phase("paper", "ResNet44", "SB"), initial_phase("laptop", "ResNet44", "RA")
    ((10, 31590), (10, 615))
    """
    return MEMORY, _steps_after(scale, name, key, MILESTONES[scale, name][0])


def second_epoch(scale: str, name: str, key: str) -> int:
    """Step at which the second epoch starts, that of the adapted regime where there is one; at least `MEMORY`.

    >>> [second_epoch("laptop", "ResNet44", key) for key in ("SB", "LB", "RA", "B512")]
    [156, 19, 152, 10]
    """
    return max(MEMORY, _steps_after(scale, name, key, 1))


def _steps_after(scale: str, name: str, key: str, epochs: float) -> int:
    arm = PROBLEMS[scale][name].arm(key)
    assert arm is not None
    return int(epochs * arm.longer * steps_an_epoch(scale, name, key) + 1e-9)


def steps_an_epoch(scale: str, name: str, key: str) -> int:
    """Optimizer steps in an epoch of an arm; its last, smaller batch is dropped."""
    problem = PROBLEMS[scale][name]
    arm = problem.arm(key)
    assert arm is not None
    assert arm.batch is not None
    return problem.examples // arm.batch


def _problem(
    scale: str, name: str, recipe: str, label: str, data: str, source: str, epochs: int, examples: int, seconds: float
) -> Problem:
    arms = SIZES[scale].arms(epochs, further=name == MAIN)
    return Problem(recipe, label, data, source, arms, epochs, examples, seconds)


PROBLEMS: dict[str, dict[str, Problem]] = {
    "demo": {
        "F1": _problem(
            "demo", "F1", "f1-mnist", "F1, digits", "F1 at a quarter of its width on 1,000 of the embedded digits "
            "(analogue)", "digits", 10, 1000, 0.15,
        ),
        MAIN: _problem(
            "demo", MAIN, "resnet44-cifar10", "ResNet-8, digits", "ResNet-8 on 1,000 of the embedded digits (analogue)",
            "digits", 10, 1000, 0.4,
        ),
    },
    "laptop": {
        "F1": _problem(
            "laptop", "F1", "f1-mnist", "F1, MNIST", "F1 on 5,000 images of MNIST (analogue)", "mnist", 10, 5000, 1.5
        ),
        MAIN: _problem(
            "laptop", MAIN, "resnet44-cifar10", "ResNet-8, CIFAR-10", "ResNet-8 on 5,000 images of CIFAR-10 (analogue)",
            "cifar10", 10, 5000, 6,
        ),
    },
    "gpu": {
        "C1": _problem("gpu", "C1", "c1-cifar10", "C1, CIFAR-10", "C1 on CIFAR-10", "cifar10", 40, 50_000, 2),
        MAIN: _problem(
            "gpu", MAIN, "resnet44-cifar10", "ResNet-44, CIFAR-10", "ResNet-44 on CIFAR-10", "cifar10", 20, 50_000, 5
        ),
    },
    "paper": {
        "F1": _problem("paper", "F1", "f1-mnist", "F1, MNIST", "F1 on MNIST", "mnist", 50, 60_000, 4),
        "C1": _problem("paper", "C1", "c1-cifar10", "C1, CIFAR-10", "C1 on CIFAR-10", "cifar10", 200, 50_000, 3),
        MAIN: _problem(
            "paper", MAIN, "resnet44-cifar10", "ResNet-44, CIFAR-10", "ResNet-44 on CIFAR-10", "cifar10", 200, 50_000, 8
        ),
        "VGG": _problem("paper", "VGG", "vgg-cifar10", "VGG16, CIFAR-10", "VGG16 with BatchNorm on CIFAR-10", "cifar10",
                        200, 50_000, 8),
        "C3": _problem("paper", "C3", "c3-cifar100", "C3, CIFAR-100", "C3 on CIFAR-100", "cifar100", 200, 50_000, 3),
        "WRN16-4": _problem(
            "paper", "WRN16-4", "wrn16-4-cifar100", "WRN-16-4, CIFAR-100", "WRN-16-4 on CIFAR-100", "cifar100", 200,
            50_000, 15,
        ),
    },
}  # fmt: skip

SEEDS = {scale: dict.fromkeys(problems, 3) for scale, problems in PROBLEMS.items()}
_WHERE = {"F1": "laptop or paper", "C1": "gpu or paper"}
ABSENT = {
    scale: {
        name: f"two networks stand for the six of Table 1 here; use --scale {_WHERE.get(name, 'paper')}"
        for name in PROBLEMS["paper"]
        if name not in PROBLEMS[scale]
    }
    for scale in ("demo", "laptop", "gpu")
}
