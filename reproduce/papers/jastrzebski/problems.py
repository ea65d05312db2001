"""What jastrzebski trains at each scale: networks at pairs of learning rate and batch size."""

from dataclasses import dataclass

from reproduce.arms import Arm, Problem

BATCH = "data.init_args.batch_size"
RATE = "model.init_args.optimizer.init_args.lr"
MLP, RESNET, VGG = "MLP", "ResNet-56", "VGG-11"

Pair = tuple[float, int]
"""Learning rate and batch size of a run."""


@dataclass(frozen=True)
class Grid:
    """One network on one data set, trained at pairs of rate and batch size, and which of them the figures take.

    Attributes:
        problem: One arm a pair.
        pairs: The pairs, by falling rate, then rising batch size.
        lines: Figure 2: the pairs whose solutions are joined, the first at 0 and the second at 1.
        equal: Figure 3: pairs of one ratio, by rising batch size.
        unequal: As many pairs of one rate whose batch sizes lie as far apart; empty where the paper has none.
        measured: Training examples over which the Hessian and the loss along lines are taken.
        seconds: Rough duration of a Hessian product on one core.
    """

    problem: Problem
    pairs: tuple[Pair, ...]
    lines: tuple[tuple[Pair, Pair], ...]
    equal: tuple[Pair, ...]
    unequal: tuple[Pair, ...]
    measured: int
    seconds: float


def key(pair: Pair) -> str:
    """Name of an arm: `0.05-100`."""
    return f"{pair[0]:g}-{pair[1]}"


def words(pair: Pair) -> str:
    """`η = 0.05, S = 100`."""
    return f"η = {pair[0]:g}, S = {pair[1]}"


def _grid(
    recipe: str, label: str, data: str, source: str, pairs: tuple[Pair, ...], epochs: int, examples: int,
    seconds: float, *, lines: tuple[tuple[Pair, Pair], ...] = (), equal: tuple[Pair, ...] = (),
    unequal: tuple[Pair, ...] = (), measured: int, product: float, statistics: str = "",
) -> Grid:  # fmt: skip
    arms = tuple(Arm(key(pair), words(pair), ((RATE, pair[0]), (BATCH, pair[1])), batch=pair[1]) for pair in pairs)
    problem = Problem(recipe, label, data, source, arms, epochs, examples, seconds, statistics)
    return Grid(problem, pairs, lines, equal, unequal, measured, product)


def _triangle(rates: tuple[float, ...], batches: tuple[int, ...], least: float) -> tuple[Pair, ...]:
    """All pairs of a ratio of at least `least`: below it the budget ends before the loss has fallen."""
    return tuple((rate, batch) for rate in rates for batch in batches if rate / batch > 0.999 * least)


def _three(large: Pair, by_batch: Pair, by_rate: Pair) -> tuple[tuple[Pair, Pair], ...]:
    """The lines of Figure 2: from a large ratio to the small ones of a larger batch and a smaller rate, and theirs."""
    return ((large, by_batch), (large, by_rate), (by_batch, by_rate))


_RATES, _BATCHES = (0.04, 0.02, 0.01, 0.005), (50, 100, 200, 400, 800)
_PAPER = tuple((rate, batch) for rate in (0.05, 0.025, 0.01, 0.005) for batch in (50, 100, 250, 500, 1000))
_PUBLISHED = _three((0.1, 128), (0.1, 1024), (0.01, 128))
_BETA = ((0.025, 12), (0.1, 50), (0.4, 200))  # a quarter of 50 is 12.5; with 12 the ratio is 4 % above the others'

_RESNET = ("resnet56-cifar10", "ResNet-56 on CIFAR-10", "ResNet-56 on CIFAR-10", "cifar10")
_VGG = ("vgg11-cifar10", "VGG-11 on CIFAR-10", "VGG-11 with BatchNorm on CIFAR-10", "cifar10")
_FASHION = ("mlp-fashion", "20-layer MLP on Fashion-MNIST", "20-layer ReLU MLP on Fashion-MNIST", "fashion-mnist")


def _whole(epochs: tuple[int, int], mlp: float, convolutional: float, product: float) -> dict[str, Grid]:
    """The paper's three problems; `epochs` and seconds an epoch are those of the MLP and of the other two."""
    return {
        MLP: _grid(
            *_FASHION, _PAPER, epochs[0], 60_000, mlp, equal=((0.005, 50), (0.01, 100), (0.025, 250), (0.05, 500)),
            unequal=((0.05, 50), (0.05, 100), (0.05, 250), (0.05, 500)), measured=10_000, product=product,
        ),
        RESNET: _grid(
            *_RESNET, ((0.1, 128), (0.1, 1024), (0.01, 128)), epochs[1], 50_000, convolutional, lines=_PUBLISHED,
            measured=5000, product=product, statistics="running",
        ),
        VGG: _grid(
            *_VGG, (*_BETA, (0.1, 200), (0.1, 12)), epochs[1], 50_000, convolutional, equal=_BETA,
            unequal=((0.1, 12), (0.1, 50), (0.1, 200)), measured=5000, product=product, statistics="running",
        ),
    }  # fmt: skip


GRIDS: dict[str, dict[str, Grid]] = {
    "demo": {
        MLP: _grid(
            "mlp-fashion", "20-layer MLP on digits",
            "20-layer ReLU MLP, 64 units wide, on 1,000 of the embedded digits (analogue)", "digits",
            _triangle((0.02, 0.01, 0.005), (20, 40, 80), 0.005 / 20), 50, 1000, 0.08,
            lines=_three((0.02, 20), (0.02, 80), (0.005, 20)), equal=((0.005, 20), (0.01, 40), (0.02, 80)),
            unequal=((0.02, 20), (0.02, 40), (0.02, 80)), measured=1000, product=0.08,
        ),
    },
    "laptop": {
        MLP: _grid(
            "mlp-fashion", "20-layer MLP on MNIST",
            "20-layer ReLU MLP, 64 units wide, on 10,000 images of MNIST, which stands in for Fashion-MNIST (analogue)",
            "mnist", _triangle(_RATES, _BATCHES, 0.04 / 800), 50, 10_000, 0.4,
            lines=_three((0.04, 100), (0.04, 800), (0.005, 100)),
            equal=((0.005, 50), (0.01, 100), (0.02, 200), (0.04, 400)),
            unequal=((0.04, 50), (0.04, 100), (0.04, 200), (0.04, 400)), measured=2000, product=0.3,
        ),
    },
    "gpu": _whole((60, 40), 3, 8, 0.1),
    "paper": _whole((300, 200), 60, 900, 20),
}  # fmt: skip

PROBLEMS: dict[str, dict[str, Problem]] = {
    scale: {name: grid.problem for name, grid in grids.items()} for scale, grids in GRIDS.items()
}
