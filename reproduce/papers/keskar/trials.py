"""Which runs and measurements the figures and tables of Keskar et al. need, at every scale."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from reproduce.results import Results
from reproduce.study import Measure, Plan, Scalar, Trial

EPSILONS = (1e-3, 5e-4)
SUBSPACE = 100
METHODS = ("SB", "LB")
FEW = 3  # seeds of what needs many runs a seed: Figs. 4 and 5


@dataclass(frozen=True)
class Setting:
    """How one network runs at one scale.

    Attributes:
        data: What the footer calls network and data.
        small: The small batch.
        large: The large batch: 10 % of the training data.
        sweep: Batch sizes of Fig. 4, the two above included; empty where Fig. 4 leaves this network out.
        starts: Epochs of the small-batch run from which Fig. 5 starts large-batch training; empty as above.
        warm_epochs: Epochs of large-batch training from each start.
        examples: Training examples over which sharpness is measured and paths are drawn; None for all.
        seconds: Rough duration of one epoch on one core.
        pass_seconds: Rough duration of one measuring pass.
        fixed_epochs: Budget of Fig. 4 at the published protocol (100 epochs, no stopping rule); 0 shares the main runs.
        measured: Seeds whose sharpness is measured for Tables 3 and 4.
        followed: Seeds whose runs are followed in Fig. 6; the paper follows one.
    """

    data: str
    small: int
    large: int
    sweep: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()
    warm_epochs: int = 0
    examples: int | None = None
    seconds: float = 60.0
    pass_seconds: float = 5.0
    fixed_epochs: int = 0
    measured: int = 5
    followed: int = 3


_STARTS = (1, 2, 5, 10, 20, 40, 60, 80, 100)
_C1_SWEEP = (128, 256, 500, 1000, 2000, 5000)
_FULL = {"C1": "C1 on CIFAR-10", "C2": "C2 on CIFAR-10", "C3": "C3 on CIFAR-100", "C4": "C4 on CIFAR-100"}

SETTINGS: dict[str, dict[str, Setting]] = {
    "demo": {
        "small": Setting(
            "small convolutional network on digits (analogue)", 10, 100, (10, 20, 50, 100, 200), (1, 2, 4, 8, 16), 10,
            seconds=0.25, pass_seconds=0.02, measured=3, followed=1,
        ),
        "F1": Setting(
            "F1 at a quarter of its width on digits (analogue)", 10, 100, seconds=0.25, pass_seconds=0.02, measured=3,
            followed=1,
        ),
    },
    "laptop": {
        "F1": Setting(
            "F1 on MNIST", 256, 6000, (64, 256, 1000, 2500, 6000), (1, 2, 4, 8, 16), 10, examples=10_000, seconds=2.5,
            pass_seconds=1.0, followed=1,
        ),
        "C1": Setting(
            "C1 on 5,000 images of CIFAR-10 (analogue)", 26, 500, examples=1_000, seconds=6, pass_seconds=2.5,
            followed=1,
        ),
    },
    "gpu": {
        "F1": Setting("F1 on MNIST", 256, 6000, (64, 256, 1000, 2500, 6000), (1, 2, 5, 10, 20), 20, 10_000, 2, 0.05),
        "C1": Setting(_FULL["C1"], 256, 5000, _C1_SWEEP, (1, 2, 5, 10, 20), 20, 10_000, 3, 0.3),
        "C2": Setting(_FULL["C2"], 256, 5000, examples=10_000, seconds=6, pass_seconds=0.6),
        "C3": Setting(_FULL["C3"], 256, 5000, examples=10_000, seconds=3, pass_seconds=0.3),
        "C4": Setting(_FULL["C4"], 256, 5000, examples=10_000, seconds=6, pass_seconds=0.6),
    },
    "paper": {
        "F1": Setting("F1 on MNIST", 256, 6000, seconds=6),
        "F2": Setting(
            "F2 on TIMIT", 256, 72_133, (256, 1000, 5000, 15_000, 30_000, 72_133), _STARTS, 100, None, 100, 60, 100
        ),
        "C1": Setting(_FULL["C1"], 256, 5000, _C1_SWEEP, _STARTS, 100, None, 100, 60, 100),
        "C2": Setting(_FULL["C2"], 256, 5000, seconds=900, pass_seconds=600),
        "C3": Setting(_FULL["C3"], 256, 5000, seconds=100, pass_seconds=60),
        "C4": Setting(_FULL["C4"], 256, 5000, seconds=900, pass_seconds=600),
    },
}  # fmt: skip


def setting(plan: Plan, network: str) -> Setting:
    """How `network` runs at the plan's scale."""
    return SETTINGS[plan.scale][network]


def seeds(plan: Plan, network: str) -> range:
    """Seeds of `network`."""
    return range(plan.seeds[network])


def measured_seeds(plan: Plan, network: str) -> range:
    """Seeds whose sharpness is measured for Tables 3 and 4."""
    return seeds(plan, network)[: setting(plan, network).measured]


def few_seeds(plan: Plan, network: str) -> range:
    """Seeds of Figs. 4 and 5."""
    return seeds(plan, network)[:FEW]


def run(plan: Plan, network: str, batch: int, seed: int, **more: Scalar) -> Trial:
    """Train `network` with batch size `batch`; `more` are dotted options with __ for the dot."""
    chosen = setting(plan, network)
    overrides: dict[str, Scalar] = {"data.init_args.batch_size": batch}
    overrides |= {name.replace("__", "."): value for name, value in more.items()}
    return Trial(
        "keskar", network.lower(), plan.scale, seed, tuple(sorted(overrides.items())),
        keep_epochs=chosen.starts if batch == chosen.small else (),
        label=f"{network}, batch {batch}, seed {seed}", seconds=25 * chosen.seconds,
    )  # fmt: skip


def main(plan: Plan, network: str, method: str, seed: int) -> Trial:
    """The small-batch or the large-batch run, trained by the stopping rule."""
    chosen = setting(plan, network)
    return run(plan, network, chosen.small if method == "SB" else chosen.large, seed)


def sweep(plan: Plan, network: str, batch: int, seed: int) -> Trial:
    """A run of Fig. 4: at the published protocol a fixed number of epochs, else the stopping rule."""
    epochs = setting(plan, network).fixed_epochs
    if not epochs:
        return run(plan, network, batch, seed)
    return run(plan, network, batch, seed, trainer__max_epochs=epochs, stopping__patience=0)


def iterates(plan: Plan, network: str, seed: int) -> Trial:
    """The small-batch run from whose iterates Fig. 5 starts: at the published protocol 100 epochs whatever the loss."""
    return sweep(plan, network, setting(plan, network).small, seed)


def warm(plan: Plan, network: str, epoch: int, seed: int) -> Trial:
    """Large-batch training that starts from the small-batch iterate after `epoch` epochs."""
    chosen = setting(plan, network)
    overrides: tuple[tuple[str, Scalar], ...] = (
        ("data.init_args.batch_size", chosen.large),
        ("stopping.patience", 0),
        ("trainer.max_epochs", chosen.warm_epochs),
    )
    return Trial(
        "keskar", network.lower(), plan.scale, seed, overrides,
        start=(iterates(plan, network, seed), f"epoch-{epoch}"),
        label=f"{network}, large batch from epoch {epoch} of small, seed {seed}",
        seconds=chosen.warm_epochs * chosen.seconds,
    )  # fmt: skip


def each(plan: Plan) -> Iterator[tuple[str, int, str, Trial]]:
    """Network, seed, method and trial of every small-batch and large-batch run."""
    for network in plan.networks:
        for seed, method in product(seeds(plan, network), METHODS):
            yield network, seed, method, main(plan, network, method, seed)


def pairs(plan: Plan) -> list[Trial]:
    """Small-batch and large-batch runs of every network and seed."""
    return [trial for *_, trial in each(plan)]


def warm_starts(plan: Plan, results: Results, network: str, seed: int) -> list[int]:
    """The starts of Fig. 5 that the small-batch run lived to see."""
    kept = results.kept(iterates(plan, network, seed))
    return [epoch for epoch in setting(plan, network).starts if f"epoch-{epoch}" in kept]


def matched(plan: Plan, results: Results, network: str, seed: int) -> str | None:
    """Name of the lowest declared loss level that both runs of a seed reached; None when there is none yet."""
    kept = [results.kept(main(plan, network, method, seed)) for method in METHODS]
    levels = {name for name in kept[0] if name.startswith("loss-")} & set(kept[1])
    return min(levels, key=lambda name: float(name.removeprefix("loss-")), default=None)


def sharpness(
    plan: Plan, network: str, trial: Trial, weights: str, maximiser: str, epsilon: float, subspace: int | None = None
) -> Measure:
    """Metric 2.1 on kept weights. The seed of the subspace is the run's, so both runs of a pair share the subspace."""
    chosen = setting(plan, network)
    options = {"maximiser": maximiser, "epsilon": epsilon, "examples": chosen.examples}
    if subspace is not None:
        options |= {"subspace": subspace, "seed": trial.seed}
    return Measure("sharpness", ((trial, weights),), tuple(sorted(options.items())), 14 * chosen.pass_seconds)


def evaluation(plan: Plan, network: str, trial: Trial, weights: str = "final") -> Measure:
    """Loss and accuracy on the whole training and test sets."""
    return Measure("evaluation", ((trial, weights),), (), 3 * setting(plan, network).pass_seconds)


def path(plan: Plan, network: str, seed: int, shape: str) -> Measure:
    """Loss and accuracy along the path from the small-batch to the large-batch solution (25 points, as in the code)."""
    low, high = (-1, 2) if shape == "linear" else (0, 1)
    chosen = setting(plan, network)
    ends = tuple((main(plan, network, method, seed), "final") for method in METHODS)
    options = {"shape": shape, "low": low, "high": high, "points": 25, "examples": chosen.examples}
    return Measure("path", ends, tuple(sorted(options.items())), 25 * chosen.pass_seconds)


def travelled(plan: Plan, network: str, method: str, seed: int) -> Measure:
    """Distance from the start to the end of a run."""
    trial = main(plan, network, method, seed)
    return Measure("distance", ((trial, "initial"), (trial, "final")))


def distance_ratios(plan: Plan, results: Results, network: str) -> dict[int, float]:
    """Seed -> distance that the small-batch run travelled over that of the large-batch run; NaN if one diverged."""
    found = {}
    for seed in seeds(plan, network):
        small, large = (results.value(travelled(plan, network, method, seed), "distance") for method in METHODS)
        if small is not None and large is not None:
            found[seed] = small / large
    return found


READINGS = {
    "(a) end": ("lbfgsb", False),
    "(b) end": ("sign", False),
    "(a) matched loss": ("lbfgsb", True),
    "(b) matched loss": ("sign", True),
}


def reading(
    plan: Plan, results: Results, network: str, method: str, seed: int, name: str, epsilon: float
) -> Measure | None:
    """One reading of full-space sharpness; None when the pair has no common loss level yet."""
    maximiser, at_level = READINGS[name]
    weights = matched(plan, results, network, seed) if at_level else "final"
    if weights is None:
        return None
    return sharpness(plan, network, main(plan, network, method, seed), weights, maximiser, epsilon)


def readings(plan: Plan, results: Results) -> list[Measure]:
    """Every reading of Table 3."""
    found = [
        reading(plan, results, net, method, seed, name, epsilon)
        for net in plan.networks
        for seed, method, name, epsilon in product(measured_seeds(plan, net), METHODS, READINGS, EPSILONS)
    ]
    return [measure for measure in found if measure is not None]
