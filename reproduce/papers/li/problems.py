"""What li trains at each scale: VGG-9 with a small and a large batch, without weight decay and with it."""

from dataclasses import dataclass
from itertools import product

from reproduce.arms import Arm, Problem

BATCH = "data.init_args.batch_size"
DECAY = "model.init_args.optimizer.init_args.weight_decay"
DECAYS = {"plain": 0.0, "decayed": 5e-4}
"""Name in an arm's key -> weight decay."""
SIZES = ("SB", "LB")
REFERENCE = "VGG-9"
"""The network that is drawn; the other one, trained by Adam, is in the table of errors only."""


@dataclass(frozen=True)
class Setting:
    """One network at one scale, trained at both batch sizes with both weight decays, and how its surface is measured.

    Attributes:
        problem: Its problem, an arm for every weight decay and batch size.
        small: The small batch.
        large: The large one.
        examples: Training examples over which losses are taken on paths and surfaces; None for all.
        test_examples: Test examples for the same; None for all.
        path_points: Points of the raw interpolation, evenly over α in [-0.5, 1.5].
        curve_points: Points of a curve along a filter-normalised direction, evenly over α in [-1, 1].
        grid_points: Points of a surface along each of its two directions, over the same range.
        directions: Random directions along which a solution's sharpness is measured.
        limit: Largest absolute weight of the histograms.
        rate: Examples a second that one core evaluates, for the estimate of the time.
    """

    problem: Problem
    small: int
    large: int
    examples: int | None
    test_examples: int | None
    path_points: int
    curve_points: int
    grid_points: int
    directions: int
    limit: float
    rate: float

    def batch(self, size: str) -> int:
        """The batch size of `SB` or `LB`."""
        return self.small if size == "SB" else self.large


def key(decay: str, size: str) -> str:
    """Name of an arm: `decayed-LB`."""
    return f"{decay}-{size}"


def decay_label(decay: str) -> str:
    """`weight decay 5e-4`.

    >>> decay_label("plain"), decay_label("decayed")
    ('weight decay 0', 'weight decay 5e-4')
    """
    return f"weight decay {DECAYS[decay]:.0e}".replace("e-0", "e-") if DECAYS[decay] else "weight decay 0"


def _arms(small: int, large: int) -> tuple[Arm, ...]:
    """The recipe is the small batch without weight decay; an arm changes the one, the other or both."""
    return tuple(
        Arm(
            key(decay, size), f"{decay_label(decay)}, batch {batch}",
            (*(((BATCH, large),) if size == "LB" else ()), *(((DECAY, value),) if value else ())), batch=batch,
        )
        for (decay, value), (size, batch) in product(DECAYS.items(), zip(SIZES, (small, large), strict=True))
    )  # fmt: skip


def _cifar(recipe: str, label: str, data: str, epochs: int, seconds: float) -> Problem:
    return Problem(recipe, label, data, "cifar10", _arms(128, 8192), epochs, 50_000, seconds)


def _gpu(recipe: str, optimizer: str = "") -> Setting:
    problem = _cifar(recipe, f"VGG-9{optimizer}", f"VGG-9{optimizer} on CIFAR-10, 60 epochs instead of 300", 60, 3)
    return Setting(problem, 128, 8192, 10_000, 10_000, 101, 51, 51, 5, 0.1, 100_000)


def _paper(recipe: str, optimizer: str = "") -> Setting:
    problem = _cifar(recipe, f"VGG-9{optimizer}", f"VGG-9{optimizer} on CIFAR-10", 300, 1200)
    return Setting(problem, 128, 8192, None, None, 401, 51, 51, 5, 0.1, 500)


SETTINGS: dict[str, dict[str, Setting]] = {
    "demo": {
        REFERENCE: Setting(
            Problem(
                "vgg9", "slim VGG-9 on digits",
                "VGG-9 at an eighth of its width on 1,000 of the embedded digits (analogue)", "digits",
                _arms(16, 164), 20, 1000, 0.2,
            ),
            16, 164, 500, 500, 21, 21, 11, 2, 0.5, 20_000,
        ),
    },
    "laptop": {
        REFERENCE: Setting(
            Problem(
                "vgg9", "slim VGG-9 on CIFAR-10",
                "VGG-9 at a quarter of its width on 5,000 images of CIFAR-10 (analogue)", "cifar10", _arms(13, 820),
                30, 5000, 6,
            ),
            13, 820, 1000, 1000, 41, 41, 21, 3, 0.3, 2500,
        ),
    },
    "gpu": {REFERENCE: _gpu("vgg9"), "VGG-9-Adam": _gpu("vgg9-adam", " with Adam")},
    "paper": {REFERENCE: _paper("vgg9"), "VGG-9-Adam": _paper("vgg9-adam", " with Adam")},
}  # fmt: skip

PROBLEMS: dict[str, dict[str, Problem]] = {
    scale: {name: setting.problem for name, setting in settings.items()} for scale, settings in SETTINGS.items()
}
"""Scale -> network -> problem."""
