"""What surlemont trains at each scale: {SGD, Adam} x {plain, SAM, ASAM} x batch sizes, and the grids to choose from."""

from collections.abc import Mapping
from dataclasses import dataclass

from reproduce.study import Plan, Scalar, Trial

PLAIN, SAM, ASAM = "plain", "sam", "asam"
METHODS = {PLAIN: "plain", SAM: "SAM", ASAM: "ASAM"}
PASSES = {PLAIN: 1, SAM: 2, ASAM: 2}
"""Gradients of a batch that one step takes."""

_OPTIMIZER = "model.init_args.optimizer.init_args"
BATCH, RATE = "data.init_args.batch_size", f"{_OPTIMIZER}.base.init_args.lr"
RADIUS, ADAPTIVE = f"{_OPTIMIZER}.rho", f"{_OPTIMIZER}.adaptive"
EPOCHS = "trainer.max_epochs"


@dataclass(frozen=True)
class Problem:
    """One optimizer on the study's network at one scale.

    Attributes:
        recipe: Its recipe under `configs/surlemont/`.
        label: What a legend calls the optimizer.
        data: Network and data in words.
        source: Name of the data set.
        batches: The batch sizes, ascending.
        rates: The rates to choose from, ascending by one factor.
        further: How many more may follow, by the same factor, beyond an end of them that does best.
        radii: Method -> the rho to choose from; the first is that with which the rate is chosen.
        epochs: Largest number of epochs of a run.
        seconds: Rough duration of an epoch with one gradient a step, on one core.
        measured: Training examples over which a minimum's sharpness is taken.
        pass_seconds: Rough duration of a pass with gradient over them, in float32 on one core.
        statistics: Source of the BatchNorm statistics of evaluations and measures.
    """

    recipe: str
    label: str
    data: str
    source: str
    batches: tuple[int, ...]
    rates: tuple[float, ...]
    radii: Mapping[str, tuple[float, ...]]
    epochs: int
    seconds: float
    measured: int
    further: int = 1
    pass_seconds: float = 0.7
    statistics: str = "running"


@dataclass(frozen=True)
class Cell:
    """One place of the study's grid.

    Attributes:
        network: Name of the problem, `SGD` or `Adam`, as `--network` takes it.
        method: `plain`, `sam` or `asam`.
        batch: The batch size.
    """

    network: str
    method: str
    batch: int


@dataclass(frozen=True)
class Setting:
    """What is chosen for a cell: the rate, and rho, which is 0 for the plain optimizer."""

    rate: float
    rho: float


def _problems(
    data: str, source: str, batches: tuple[int, ...], rates: Mapping[str, tuple[float, ...]],
    radii: Mapping[str, tuple[float, ...]], epochs: int, seconds: float, measured: int, further: int = 1,
) -> dict[str, Problem]:  # fmt: skip
    return {
        name: Problem(
            f"image-{name.lower()}", name, data, source, batches, rates[name], {PLAIN: (0.0,), **radii}, epochs,
            seconds, measured, further,
        )
        for name in ("SGD", "Adam")
    }  # fmt: skip


_RADII = {SAM: (0.1, 0.03, 0.3), ASAM: (1.0, 0.3, 3.0)}

PROBLEMS: dict[str, dict[str, Problem]] = {
    "demo": _problems(
        "a small convolutional network on 800 of the embedded digits", "digits", (16, 256),
        {"SGD": (0.03, 0.12), "Adam": (0.002, 0.008)}, {SAM: (0.1,), ASAM: (1.0,)}, 10, 0.06, 200, 0,
    ),
    "laptop": _problems(
        "ResNet-8 on 5,000 images of CIFAR-10", "cifar10", (32, 128, 512, 1024),
        {"SGD": (0.01, 0.04, 0.16, 0.64), "Adam": (0.0005, 0.002, 0.008, 0.032)}, _RADII, 20, 4.5, 500,
    ),
    "gpu": _problems(
        "ResNet-20 on CIFAR-10", "cifar10", (128, 512, 2048, 8192),
        {"SGD": (0.025, 0.1, 0.4, 1.6), "Adam": (0.0005, 0.002, 0.008, 0.032)}, _RADII, 60, 3.0, 5000,
    ),
    "paper": _problems(
        "ResNet-20 on CIFAR-10", "cifar10", (128, 512, 2048, 8192),
        {"SGD": (0.025, 0.1, 0.4, 1.6), "Adam": (0.0005, 0.002, 0.008, 0.032)}, _RADII, 200, 3.0, 5000,
    ),
}  # fmt: skip


def cells(plan: Plan) -> list[Cell]:
    """Every cell of the plan's networks: by optimizer, then method, then batch size."""
    return [
        Cell(network, method, batch)
        for network in plan.networks
        for method in METHODS
        for batch in problem(plan, network).batches
    ]


def problem(plan: Plan, network: str) -> Problem:
    """An optimizer's problem at the plan's scale."""
    return PROBLEMS[plan.scale][network]


def run(plan: Plan, cell: Cell, setting: Setting, seed: int, *, times: int = 1) -> Trial:
    """One training of a cell, at most `times` as long as the budget."""
    chosen = problem(plan, cell.network)
    overrides: dict[str, Scalar] = {BATCH: cell.batch, RATE: setting.rate, RADIUS: setting.rho}
    if cell.method == ASAM:
        overrides[ADAPTIVE] = True
    if times > 1:
        overrides[EPOCHS] = times * chosen.epochs
    radius = f", rho {setting.rho:g}" if setting.rho else ""
    longer = f", up to {times * chosen.epochs} epochs" if times > 1 else ""
    return Trial(
        plan.paper, chosen.recipe, plan.scale, seed, tuple(sorted(overrides.items())),
        label=f"{chosen.label} {METHODS[cell.method]}, batch {cell.batch}, rate {setting.rate:g}{radius}{longer}, "
        f"seed {seed}",
        seconds=chosen.seconds * times * chosen.epochs * PASSES[cell.method],
    )  # fmt: skip
