"""What lars trains at each scale: AlexNet with BatchNorm and ResNet-50, without LARS and with it."""

from dataclasses import dataclass

from reproduce.arms import Arm, Problem

BATCH = "data.init_args.batch_size"
SGD, LARS = "sgd", "lars"
METHODS = {SGD: "without LARS", LARS: "with LARS"}


@dataclass(frozen=True)
class Pair:
    """One network on one data set, trained by both methods at the same batch sizes.

    Attributes:
        problems: Method -> its problem, one arm a batch size.
        batches: The batch sizes, ascending; the first is that which the base rates are for.
        norms: Examples over which the gradient of the table of norms is taken.
    """

    problems: dict[str, Problem]
    batches: tuple[int, ...]
    norms: int = 512

    @property
    def plain(self) -> Problem:
        """The problem without LARS, for what both have in common."""
        return self.problems[SGD]

    def steps(self, batch: int) -> int:
        """Optimizer steps of an epoch, which drops its last, smaller batch."""
        return self.plain.examples // batch

    def updates(self, batch: int) -> int:
        """Optimizer steps of a run.

        >>> PAIRS["laptop"]["AlexNet"].updates(2048)
        48
        """
        return self.steps(batch) * self.plain.epochs


def key(method: str, batch: int) -> str:
    """Name of an arm: `lars-2048`."""
    return f"{method}-{batch}"


def _arms(method: str, batches: tuple[int, ...]) -> tuple[Arm, ...]:
    """One arm a batch size; the linear rule and the warm-up stand in the recipe, so the batch size is all."""
    return tuple(
        Arm(
            key(method, batch), f"batch {batch}, {METHODS[method]}",
            () if batch == batches[0] else ((BATCH, batch),), batch=batch,
        )
        for batch in batches
    )  # fmt: skip


def _pair(
    recipe: str, label: str, data: str, source: str, batches: tuple[int, ...], epochs: int, examples: int,
    seconds: float, norms: int = 512,
) -> Pair:  # fmt: skip
    def problem(method: str) -> Problem:
        name = recipe if method == SGD else f"{recipe}-{LARS}"
        return Problem(name, label, data, source, _arms(method, batches), epochs, examples, seconds)

    return Pair({method: problem(method) for method in METHODS}, batches, norms)


PAIRS: dict[str, dict[str, Pair]] = {
    "demo": {
        "AlexNet": _pair(
            "alexnet-cifar10", "slim AlexNet on digits",
            "AlexNet with BatchNorm at an eighth of its width on 1,000 of the embedded digits (analogue)", "digits",
            (16, 64, 256, 500), 12, 1000, 0.1, 256,
        ),
    },
    "laptop": {
        "AlexNet": _pair(
            "alexnet-cifar10", "slim AlexNet on CIFAR-10",
            "AlexNet with BatchNorm at a quarter of its width on 10,000 images of CIFAR-10 (analogue)", "cifar10",
            (64, 256, 1024, 2048), 12, 10_000, 8,
        ),
    },
    "gpu": {
        "AlexNet": _pair(
            "alexnet-cifar10", "AlexNet on CIFAR-10", "AlexNet with BatchNorm on CIFAR-10 (analogue)", "cifar10",
            (128, 512, 2048, 4096, 8192), 40, 50_000, 3,
        ),
    },
    "paper": {
        "AlexNet": _pair(
            "alexnet-imagenet", "AlexNet on ImageNet", "AlexNet with BatchNorm on ImageNet", "imagenet",
            (512, 4096, 8192, 16_384, 32_768), 100, 1_281_167, 12_000,
        ),
        "ResNet-50": _pair(
            "resnet50-imagenet", "ResNet-50 on ImageNet", "ResNet-50 on ImageNet", "imagenet",
            (256, 8192, 16_384, 32_768), 90, 1_281_167, 60_000,
        ),
    },
}  # fmt: skip

PROBLEMS: dict[str, dict[str, Problem]] = {
    scale: {
        name if method == SGD else f"{name} with LARS": problem
        for name, pair in pairs.items()
        for method, problem in pair.problems.items()
    }
    for scale, pairs in PAIRS.items()
}
"""Every recipe that there is, by scale and by network and method."""
