"""What adabatch trains at each scale: three networks on two data sets, each at three schedules of the batch size."""

from dataclasses import dataclass

from reproduce.arms import Arm, Problem

SMALL, ADAPTIVE, LARGE = "small", "adaptive", "large"
LABELS = {SMALL: "small, fixed", ADAPTIVE: "adaptive", LARGE: "large, fixed"}
GROWTH, DECAY, RATE = 2, 0.375, 0.01
"""Factor on the batch size, and on the rate, at a milestone; the rate at the start."""


@dataclass(frozen=True)
class Schedule:
    """Batch sizes of a scale's arms.

    Attributes:
        small: Batch size of the small arm, and of the adaptive one at its start.
        large: Batch size of the large arm, and the most that the adaptive one grows to.
        every: Epochs between two milestones.
        epochs: Epochs of a run.
    """

    small: int
    large: int
    every: int
    epochs: int

    def arms(self) -> tuple[Arm, ...]:
        """The three ways of training."""
        growing = (("ramp.factor", GROWTH), ("ramp.maximum", self.large))
        return (
            Arm(SMALL, LABELS[SMALL], batch=self.small),
            Arm(ADAPTIVE, LABELS[ADAPTIVE], growing, batch=self.small),
            Arm(LARGE, LABELS[LARGE], (("data.init_args.batch_size", self.large),), batch=self.large),
        )

    def phases(self, key: str) -> list[tuple[int, int, float]]:
        """Epochs, batch size and rate of each phase of an arm, in order.

        >>> Schedule(128, 2048, 20, 100).phases("adaptive")[:3]
        [(20, 128, 0.01), (20, 256, 0.0075), (20, 512, 0.005625)]
        >>> Schedule(128, 2048, 20, 100).phases("large")[:2]
        [(20, 2048, 0.01), (20, 2048, 0.00375)]
        """
        found = []
        batch, rate = self.large if key == LARGE else self.small, RATE
        for start in range(0, self.epochs, self.every):
            found.append((min(self.every, self.epochs - start), batch, round(rate, 12)))
            grown = min(batch * GROWTH, self.large) if key == ADAPTIVE else batch
            rate, batch = rate * DECAY * grown / batch, grown
        return found

    def batches(self) -> tuple[int, ...]:
        """Every batch size that some arm trains at, ascending.

        >>> Schedule(32, 512, 4, 20).batches()
        (32, 64, 128, 256, 512)
        """
        return tuple(sorted({batch for key in LABELS for _, batch, _ in self.phases(key)}))


_SCHEDULES = {
    "demo": Schedule(16, 256, 2, 10),
    "laptop": Schedule(32, 512, 3, 15),
    "gpu": Schedule(128, 2048, 10, 50),
    "paper": Schedule(128, 2048, 20, 100),
}
_BIGGER = {scale: Schedule(256, 4096, of.every, of.epochs) for scale, of in _SCHEDULES.items()}

_DIGITS = "of the embedded digits (analogue)"
_SLIM = "10,000 images of CIFAR-10 (analogue)"
_DATA = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}


def schedule(scale: str, name: str) -> Schedule:
    """Batch sizes of a network at a scale; AlexNet's are twice the others' where they are the paper's."""
    bigger = scale in ("gpu", "paper") and name.startswith("AlexNet")
    return (_BIGGER if bigger else _SCHEDULES)[scale]


def _problem(
    scale: str, name: str, recipe: str, label: str, data: str, source: str, examples: int, seconds: float
) -> Problem:
    chosen = schedule(scale, name)
    statistics = "" if name.startswith("AlexNet") else "running"  # the others have BatchNorm
    return Problem(recipe, label, data, source, chosen.arms(), chosen.epochs, examples, seconds, statistics)


def _published(scale: str, share: float) -> dict[str, Problem]:
    """The paper's networks on both data sets; `share` scales the rough seconds of an epoch."""
    found = {}
    for source, data in _DATA.items():
        for label, seconds in (("AlexNet", 3), ("ResNet-20", 5), ("VGG19", 6)):
            name = label.replace("-", "") + ("" if source == "cifar10" else "-C100")
            recipe = f"{label.replace('-', '').lower()}-{source}"
            network = f"{label} with BatchNorm" if label == "VGG19" else label
            found[name] = _problem(
                scale, name, recipe, f"{label}, {data}", f"{network} on {data}", source, 50_000, seconds * share
            )
    return found


PROBLEMS: dict[str, dict[str, Problem]] = {
    "demo": {
        "ResNet20": _problem(
            "demo", "ResNet20", "resnet20-cifar10", "ResNet-8, digits", f"ResNet-8 on 1,000 {_DIGITS}", "digits",
            1000, 0.15,
        ),
        "VGG19": _problem(
            "demo", "VGG19", "vgg19-cifar10", "slim VGG11, digits", f"slim VGG11 on 1,000 {_DIGITS}", "digits",
            1000, 0.15,
        ),
    },
    "laptop": {
        "AlexNet": _problem(
            "laptop", "AlexNet", "alexnet-cifar10", "AlexNet, CIFAR-10", f"AlexNet on {_SLIM}", "cifar10", 10_000, 8
        ),
        "ResNet20": _problem(
            "laptop", "ResNet20", "resnet20-cifar10", "ResNet-8, CIFAR-10", f"ResNet-8 on {_SLIM}", "cifar10",
            10_000, 8,
        ),
        "VGG19": _problem(
            "laptop", "VGG19", "vgg19-cifar10", "slim VGG19, CIFAR-10", f"VGG19 at an eighth of its width on {_SLIM}",
            "cifar10", 10_000, 9,
        ),
        "ResNet20-C100": _problem(
            "laptop", "ResNet20-C100", "resnet20-cifar100", "ResNet-8, CIFAR-100",
            "ResNet-8 on 8,000 images of CIFAR-100 (analogue)", "cifar100", 8_000, 7,
        ),
    },
    "gpu": _published("gpu", 1),
    "paper": _published("paper", 2),
}  # fmt: skip

NETWORKS = tuple(PROBLEMS["paper"])
SEEDS = {
    "demo": {"ResNet20": 3, "VGG19": 3},
    "laptop": {"AlexNet": 1, "ResNet20": 3, "VGG19": 1, "ResNet20-C100": 1},
    "gpu": dict.fromkeys(NETWORKS, 1) | {"AlexNet": 3, "ResNet20": 3},
    "paper": dict.fromkeys(NETWORKS, 3),
}
ABSENT = {
    "demo": {
        "AlexNet": "its strides need images of 29 pixels, and the embedded digits have 8",
        **dict.fromkeys(
            ("AlexNet-C100", "ResNet20-C100", "VGG19-C100"), "the demo scale has the embedded data only"
        ),
    },
    "laptop": dict.fromkeys(
        ("AlexNet-C100", "VGG19-C100"), "one network stands for CIFAR-100 on two cores; use --scale gpu"
    ),
}  # fmt: skip
