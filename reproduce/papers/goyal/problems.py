"""What goyal trains at each scale: ResNet-50 on ImageNet, and the analogues on small images that stand for it."""

from dataclasses import dataclass

from reproduce.arms import Arm, Problem
from reproduce.study import Scalar

BATCH = "data.init_args.batch_size"
RATE = "model.init_args.optimizer.init_args.lr"
NETWORK = "model.init_args.network.init_args"


@dataclass(frozen=True)
class Sizes:
    """The batch sizes of a problem.

    Attributes:
        base: The one that the base rate is for.
        all: Those of the sweep, ascending; `base`, `flat` and `large` are among them.
        flat: Larger than the base by so much that the paper's claim of an unchanged error is tested there.
        large: That of the tables of warm-ups and of rules; rules are compared at `flat` too.
        rate: The base rate.
    """

    base: int
    all: tuple[int, ...]
    flat: int
    large: int
    rate: float


SIZES: dict[str, dict[str, Sizes]] = {
    "demo": {"ResNet-8": Sizes(16, (16, 32, 64, 128, 256, 500), 64, 128, 0.05)},
    "laptop": {"ResNet-8": Sizes(32, (32, 128, 512, 1024), 128, 512, 0.05)},
    "gpu": {"ResNet-20": Sizes(256, (128, 256, 512, 1024, 2048, 4096, 8192), 1024, 4096, 0.1)},
    "paper": {"ResNet-50": Sizes(256, tuple(2**power for power in range(6, 17)), 8192, 8192, 0.1)},
}

TOLERANCE = {"demo": 1.0, "laptop": 1.0, "gpu": 1.0, "paper": 0.5}
"""Points of error above the base's up to which a batch size counts as level with it."""

LAST = {"demo": 3, "laptop": 3, "gpu": 5, "paper": 5}
"""Epochs at the end over which the median error is taken; the paper takes five of 90."""


def key(batch: int) -> str:
    """Name of the arm with the linear rule and, above the base batch size, a gradual warm-up."""
    return f"B{batch}"


def sweep(sizes: Sizes) -> tuple[Arm, ...]:
    """One arm a batch size: the linear rule; a gradual warm-up above the base, none below."""

    def overrides(batch: int) -> tuple[tuple[str, Scalar], ...]:
        if batch == sizes.base:
            return ()
        return ((BATCH, batch),) if batch > sizes.base else ((BATCH, batch), ("rate.warmup_epochs", 0.0))

    return tuple(Arm(key(batch), f"batch {batch}", overrides(batch), batch=batch) for batch in sizes.all)


def ways(sizes: Sizes) -> tuple[Arm, ...]:
    """What Tables 1 and 2a compare with the gradual warm-up and the linear rule at the large batch size."""
    found: dict[str, tuple[str, tuple[str, Scalar]]] = {
        "none": ("no warm-up", ("rate.warmup_epochs", 0.0)),
        "constant": ("constant warm-up", ("rate.warmup", "constant")),
        "fixed": ("fixed rate", ("rate.scaling", "base")),
        "square-root": ("square-root rule", ("rate.scaling", "square-root")),
    }
    return tuple(
        Arm(name, f"batch {sizes.large}, {label}", ((BATCH, sizes.large), setting), batch=sizes.large)
        for name, (label, setting) in found.items()
    )


def moderate(sizes: Sizes) -> tuple[Arm, ...]:
    """The rules other than the linear one at `flat`, where that is another batch size than the large one."""
    if sizes.flat == sizes.large:
        return ()
    rules = (("fixed", "fixed rate", "base"), ("square-root", "square-root rule", "square-root"))
    return tuple(
        Arm(
            f"{name}-{sizes.flat}", f"batch {sizes.flat}, {label}", ((BATCH, sizes.flat), ("rate.scaling", scaling)),
            batch=sizes.flat,
        )
        for name, label, scaling in rules
    )  # fmt: skip


def variants(sizes: Sizes, *, deep: bool = False) -> tuple[Arm, ...]:
    """The rest of Table 2: half and twice the base rate, gains of 1, and (`deep`) ResNet-101, at both batch sizes."""
    settings: dict[str, tuple[str, tuple[str, Scalar]]] = {
        "half": ("half the rate", (RATE, sizes.rate / 2)),
        "double": ("twice the rate", (RATE, 2 * sizes.rate)),
        "gains": ("initial gains of 1", (f"{NETWORK}.zero_gamma", False)),
    }
    if deep:
        settings["deep"] = ("ResNet-101", (f"{NETWORK}.depth", 101))
    return tuple(
        Arm(f"{name}-{batch}", f"batch {batch}, {label}", ((BATCH, batch), setting), batch=batch)
        for name, (label, setting) in settings.items()
        for batch in (sizes.base, sizes.large)
    )


def _arms(scale: str, name: str) -> tuple[Arm, ...]:
    sizes = SIZES[scale][name]
    more = variants(sizes, deep=scale == "paper") if scale in ("gpu", "paper") else ()
    return sweep(sizes) + ways(sizes) + moderate(sizes) + more


PROBLEMS: dict[str, dict[str, Problem]] = {
    "demo": {
        "ResNet-8": Problem(
            "resnet-cifar10", "ResNet-8 on digits", "ResNet-8 on 1,000 of the embedded digits (analogue)", "digits",
            _arms("demo", "ResNet-8"), 12, 1000, 0.3,
        ),
    },
    "laptop": {
        "ResNet-8": Problem(
            "resnet-cifar10", "ResNet-8 on CIFAR-10", "ResNet-8 on 5,000 images of CIFAR-10 (analogue)", "cifar10",
            _arms("laptop", "ResNet-8"), 12, 5_000, 5,
        ),
    },
    "gpu": {
        "ResNet-20": Problem(
            "resnet-cifar10", "ResNet-20 on CIFAR-10", "ResNet-20 on CIFAR-10 (analogue)", "cifar10",
            _arms("gpu", "ResNet-20"), 45, 50_000, 4,
        ),
    },
    "paper": {
        "ResNet-50": Problem(
            "resnet50-imagenet", "ResNet-50 on ImageNet", "ResNet-50 on ImageNet", "imagenet",
            _arms("paper", "ResNet-50"), 90, 1_281_167, 60_000,
        ),
    },
}  # fmt: skip


def sizes_of(scale: str, name: str) -> Sizes:
    """The batch sizes of a problem."""
    return SIZES[scale][name]
