"""What golmant trains at each scale: Table 1's rows, and the smaller problems that stand for them."""

from dataclasses import dataclass

from reproduce.study import Plan

SOURCES = {
    "digits": "digits", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "mnist": "MNIST", "svhn": "SVHN",
    "svhn-extra": "SVHN", "pydoc": "Python's documentation", "wikitext-2": "WikiText-2", "drawn": "drawn scenes",
    "camvid": "CamVid", "cityscapes": "Cityscapes",
}  # fmt: skip
BASE, LINEAR, ROOT = "base", "linear", "square-root"
STRATEGIES = {BASE: "Base LR", LINEAR: "Linear scaling", ROOT: "Square root scaling"}


@dataclass(frozen=True)
class Problem:
    """One network on one data set.

    Attributes:
        recipe: Its recipe under `configs/golmant/`.
        label: What a legend calls it.
        data: Network and data in words, with the word analogue where they are not the paper's.
        source: Name of the data set.
        batches: Batch sizes, ascending; the first is the base batch size m0.
        examples: Training examples in an epoch with the whole set; of text, sequences of 35 tokens.
        epochs: Epochs of a run.
        rules: Rules for the learning rate that are compared.
        fractions: Shares of the training data that Fig. 4 trains on; empty where it does not use this problem.
        longer: Multiples of the epochs that the largest batch also trains for; empty for none.
        seconds: Rough duration of an epoch of one run on one core.
        share_seeds: Seeds of the smaller shares of the data; None for all of the problem's.
    """

    recipe: str
    label: str
    data: str
    source: str
    batches: tuple[int, ...]
    examples: int
    epochs: int
    rules: tuple[str, ...] = (BASE,)
    fractions: tuple[float, ...] = ()
    longer: tuple[int, ...] = ()
    seconds: float = 1.0
    share_seeds: int | None = None

    @property
    def short(self) -> str:
        """Network and data set for a panel's title."""
        return f"{self.label} on {SOURCES[self.source]}"


def powers(low: int, high: int) -> tuple[int, ...]:
    """2^low, ..., 2^high.

    >>> powers(3, 6)
    (8, 16, 32, 64)
    """
    return tuple(2**power for power in range(low, high + 1))


ALL = (BASE, LINEAR, ROOT)
TWO = (BASE, LINEAR)
FRACTIONS = (1.0, 0.5, 0.25)

_DIGITS = "of the embedded digits (analogue)"
_SLIM = "10,000 images of CIFAR-10 (analogue)"

PROBLEMS: dict[str, dict[str, Problem]] = {
    "demo": {
        "ResNet34": Problem(
            "resnet34-cifar10", "ResNet-8", f"ResNet-8 on 1,000 {_DIGITS}", "digits", powers(4, 8), 1000, 12,
            ALL, FRACTIONS, (2,), 0.1,
        ),
        "VGG16": Problem(
            "vgg16-cifar10", "slim VGG11", f"slim VGG11 on 1,000 {_DIGITS}", "digits", powers(4, 8), 1000, 12,
            seconds=0.1,
        ),
        "LSTM": Problem(
            "lstm-wikitext2", "LSTM", "LSTM on Python's documentation (analogue)", "pydoc", powers(3, 6), 857, 3,
            TWO, seconds=4,
        ),
        "DRN": Problem(
            "drn22-cityscapes", "DRN-D-22", "slim DRN-D-22 on drawn street scenes (analogue)", "drawn", powers(1, 4),
            48, 4, TWO, seconds=2,
        ),
    },
    "laptop": {
        "ResNet34": Problem(
            "resnet34-cifar10", "ResNet-8", f"ResNet-8 on {_SLIM}", "cifar10", powers(6, 12), 10_000, 15,
            ALL, FRACTIONS, (2,), 7, share_seeds=1,
        ),
        "VGG16": Problem(
            "vgg16-cifar10", "slim VGG16", f"VGG16 at an eighth of its width on {_SLIM}", "cifar10",
            (64, 256, 1024, 2048, 4096), 10_000, 15, seconds=7,
        ),
        "AlexNet": Problem(
            "alexnet-cifar10", "slim AlexNet", f"AlexNet at a quarter of its width on {_SLIM}", "cifar10",
            (64, 256, 1024, 2048, 4096), 10_000, 15, seconds=7,
        ),
        "MobileNetV2": Problem(
            "mobilenetv2-cifar10", "slim MobileNetV2", f"MobileNetV2 at a quarter of its width on {_SLIM}", "cifar10",
            (64, 256, 1024, 4096), 10_000, 15, seconds=33,
        ),
        "CIFAR-100": Problem(
            "resnet34-cifar100", "CIFAR-100 (subset)", "ResNet-8 on 8,000 images of CIFAR-100 (analogue)", "cifar100",
            (64, 256, 1024, 2048), 8_000, 15, seconds=6,
        ),
        "SVHN": Problem(
            "resnet34-svhn", "SVHN", "ResNet-8 on 10,000 images of SVHN (analogue)", "svhn",
            (64, 256, 1024, 2048, 4096), 10_000, 15, seconds=7,
        ),
        "MNIST": Problem(
            "resnet34-mnist", "MNIST", "ResNet-8 on 10,000 images of MNIST (analogue)", "mnist",
            (64, 256, 1024, 2048, 4096), 10_000, 15, seconds=6,
        ),
        "LSTM": Problem(
            "lstm-wikitext2", "LSTM", "small LSTM on 150,000 tokens of WikiText-2 (analogue)", "wikitext-2",
            powers(3, 9), 4_285, 8, TWO, seconds=9,
        ),
        "DRN": Problem(
            "drn22-cityscapes", "DRN-D-22", "slim DRN-D-22 on 62 CamVid scenes for Cityscapes (analogue)", "camvid",
            powers(1, 4), 62, 30, TWO, seconds=3,
        ),
    },
    "gpu": {},
    "paper": {},
}  # fmt: skip


def _published(epochs: dict[str, int], highest: dict[str, int], share: float) -> dict[str, Problem]:
    """The rows of Table 1; `share` scales the rough seconds of an epoch."""

    def image(recipe: str, label: str, data: str, source: str, rules: tuple[str, ...], seconds: float) -> Problem:
        examples = {"svhn-extra": 604_388}.get(source, 50_000)
        whole = source in ("cifar10", "svhn-extra") and label in ("ResNet34", "SVHN with its extra set")
        return Problem(
            recipe, label, data, source, powers(6, highest["image"]), examples, epochs["image"], rules,
            FRACTIONS if whole else (), (2, 4) if whole and source == "cifar10" else (), seconds * share,
        )  # fmt: skip

    return {
        "ResNet34": image("resnet34-cifar10", "ResNet34", "ResNet34 on CIFAR-10", "cifar10", ALL, 10),
        "VGG16": image("vgg16-cifar10", "VGG16", "VGG16 on CIFAR-10", "cifar10", ALL, 5),
        "AlexNet": image("alexnet-cifar10", "AlexNet", "AlexNet on CIFAR-10", "cifar10", ALL, 3),
        "MobileNetV2": image("mobilenetv2-cifar10", "MobileNetV2", "MobileNetV2 on CIFAR-10", "cifar10", ALL, 8),
        "CIFAR-100": image("resnet34-cifar100", "CIFAR-100", "ResNet34 on CIFAR-100", "cifar100", TWO, 10),
        "SVHN": image("resnet34-svhn", "SVHN", "ResNet34 on 50,000 images of SVHN", "svhn", TWO, 10),
        "SVHN-extra": image(
            "resnet34-svhn-extra", "SVHN with its extra set", "ResNet34 on SVHN (604,388 images)", "svhn-extra",
            (BASE,), 120,
        ),
        "MNIST": image("resnet34-mnist", "MNIST", "ResNet34 on 50,000 images of MNIST", "mnist", TWO, 8),
        "LSTM": Problem(
            "lstm-wikitext2", "LSTM", "two-layer LSTM on WikiText-2", "wikitext-2", powers(3, highest["text"]),
            59_675, epochs["text"], TWO, seconds=60 * share,
        ),
        "DRN": Problem(
            "drn22-cityscapes", "DRN-D-22", "DRN-D-22 on Cityscapes", "cityscapes", powers(3, highest["scenes"]),
            2_975, epochs["scenes"], TWO, seconds=400 * share,
        ),
    }  # fmt: skip


PROBLEMS["paper"] = _published(
    {"image": 200, "text": 40, "scenes": 100}, {"image": 14, "text": 10, "scenes": 11}, share=3
)
PROBLEMS["gpu"] = {
    name: problem
    for name, problem in _published(
        {"image": 20, "text": 10, "scenes": 10}, {"image": 13, "text": 8, "scenes": 8}, share=1
    ).items()
    if name not in ("SVHN-extra", "DRN")
}

CONTOURS = ("ResNet34", "DRN", "LSTM")
NETWORKS = ("VGG16", "AlexNet", "ResNet34", "MobileNetV2")
DATA_SETS = ("CIFAR-100", "ResNet34", "SVHN", "MNIST")
SIZES = ("ResNet34", "SVHN-extra")


def problem(plan: Plan, name: str) -> Problem:
    """A problem at the plan's scale."""
    return PROBLEMS[plan.scale][name]


def present(plan: Plan, names: tuple[str, ...]) -> list[str]:
    """Those of the problems that the plan runs."""
    return [name for name in names if name in plan.networks]
