"""What can be measured on weights that runs kept: each kind of measure, from its options to its result."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bsgap import cli
from bsgap.callbacks.measuring import criterion_of
from bsgap.data import Batches
from bsgap.errors import UsageError
from bsgap.measures import (
    ball_sharpness,
    distance,
    fgsm,
    hessian_trace,
    keskar_sharpness,
    layer_norms,
    linear_approximation,
    mini_batch,
    random_direction,
    spectral_density,
    state_path,
    surface,
    time_passes,
    top_eigenvalues,
    weight_histogram,
)
from bsgap.measures.timing import of_sizes
from reproduce.turns import step_seconds

AUTOCAST: dict[str, torch.dtype | None] = {"32-true": None, "32": None, "None": None, "bf16-mixed": torch.bfloat16}


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        task: The task of the run, its network with the weights to measure.
        states: These weights, and those of the other runs that the measure is about.
        config: The first run's configuration.
    """

    task: Any
    states: Sequence[dict[str, Any]]
    config: Mapping[str, Any]

    @property
    def network(self) -> torch.nn.Module:
        """The network in float32, where it is to be measured."""
        network: torch.nn.Module = self.task.network
        return network

    @property
    def statistics(self) -> Any:
        """Source of the BatchNorm statistics in the recipe's evaluations."""
        return getattr(self.task, "statistics", "running")

    @property
    def data(self) -> Any:
        """The run's data module, set up."""
        options = self.config["data"]["init_args"] | {"seed": 0}
        return _data(json.dumps(self.config["data"] | {"init_args": options}, sort_keys=True))

    def train(self, examples: int | None, batch_size: int | None = None) -> Batches:
        """Batches of training examples, all of them or a fixed sample."""
        found: Batches = self.data.batches("train", examples=examples, batch_size=batch_size)
        return found


@lru_cache(maxsize=2)
def _data(text: str) -> Any:
    data = cli.build_data(json.loads(text))
    data.setup("fit")
    return data


@lru_cache(maxsize=1)
def _task(text: str) -> Any:
    return cli.build(json.loads(text))


def measure(kind: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Measure weights that runs kept, in float32, in the BatchNorm mode of the recipe.

    Args:
        kind: One of `KINDS`.
        payload: `config` of the first run, `weights` (files), and `options` of the measure.

    Raises:
        UsageError: There is no such measure.
    """
    if kind not in KINDS:
        *others, last = KINDS
        raise UsageError(f"unknown measure {kind!r}: expected {', '.join(others)} or {last}.")
    config = payload["config"]
    states = [torch.load(path, map_location="cpu", weights_only=True) for path in payload["weights"]]
    options = config["model"]["init_args"] | {"initial_weights": None}  # they are replaced by the kept ones
    subject = Subject(_task(json.dumps(config["model"] | {"init_args": options}, sort_keys=True)), states, config)
    subject.network.load_state_dict(states[0])
    subject.network.to("cuda" if torch.cuda.is_available() else "cpu")
    return KINDS[kind](subject, **payload["options"])


def _distance(subject: Subject) -> dict[str, Any]:
    """Distance between two sets of weights."""
    names = [name for name, _ in subject.network.named_parameters()]
    return {"distance": distance(subject.states[0], subject.states[1], names)}


def _evaluation(subject: Subject, *, split: str | None = None, examples: int | None = None) -> dict[str, Any]:
    """Loss and accuracy on a split, or on the training and the test examples."""
    splits = ["train", "test"] if split is None else [split]
    found = {name: subject.task.evaluate(subject.data.batches(name, examples=examples)) for name in splits}
    return {
        f"{name}_{metric}": value
        for name, result in found.items()
        for metric, value in {**result.values(), "examples": result.examples}.items()
    } | {"statistics": subject.statistics}


def _sharpness(subject: Subject, *, examples: int | None = None, **options: Any) -> dict[str, Any]:
    """Keskar's sharpness."""
    train = subject.train(examples)
    return dict(vars(keskar_sharpness(subject.network, train, statistics=subject.statistics, **options)))


def _path(
    subject: Subject, *, low: float, high: float, points: int, shape: Any, examples: int | None = None,
    test_examples: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Losses and accuracies on a path between two sets of weights."""
    sets = {"train": subject.train(examples), "test": subject.data.batches("test", examples=test_examples)}
    alphas = _evenly(low, high, points)
    statistics = subject.statistics
    start, end = subject.states
    path = state_path(subject.network, start, end, alphas, sets, kind=shape, statistics=statistics)
    return {"alphas": alphas, "losses": path.losses, "accuracies": path.accuracies, "statistics": statistics}


def _evenly(low: float, high: float, points: int) -> list[float]:
    """`points` numbers from `low` to `high`."""
    return [low + (high - low) * index / (points - 1) for index in range(points)]


def _approximations(
    subject: Subject, *, rate: float, batch_size: int, draws: int, seed: int, examples: int | None = None
) -> dict[str, Any]:  # fmt: skip
    """Golmant's linear-approximation error: the mean over several mini-batches, and each of them.

    The batches are micro-batches of the training, so that BatchNorm takes its statistics over as many examples.
    """
    batches, statistics = subject.train(examples, subject.task.micro_batch), subject.statistics
    found = []
    for draw in range(draws):
        chunks = mini_batch(batches, batch_size, seed, draw)
        found.append(vars(linear_approximation(subject.network, batches, chunks, rate=rate, statistics=statistics)))
    kept = ("error", "same_batch_error", "loss", "loss_after", "gradient_norm")
    means = {name: sum(each[name] for each in found) / draws for name in ("error", "same_batch_error")}
    draws_of = {f"{name}_of_draws": [each[name] for each in found] for name in kept}
    return means | draws_of | {
        "batch_size": batch_size, "rate": rate, "examples": found[0]["examples"], "statistics": statistics,
    }  # fmt: skip


def _norms(subject: Subject, *, batch_size: int, seed: int = 0) -> dict[str, Any]:
    """Norms of every weight and of its gradient over one mini-batch, which `seed` draws.

    As in a step of the training, BatchNorm has the statistics of each micro-batch, whatever the evaluation has.
    """
    task = subject.task
    batches = subject.train(None, task.micro_batch or batch_size)
    rows = layer_norms(task.network, mini_batch(batches, batch_size, seed), criterion_of(task), statistics="batch")
    layers = [
        {
            "layer": row.name.removesuffix(".weight"), "shape": list(row.shape), "weight": row.weight,
            "gradient": row.gradient, "ratio": row.ratio,
        }
        for row in rows
    ]  # fmt: skip
    return {"layers": layers, "batch_size": batch_size, "micro_batch": task.micro_batch, "statistics": "batch"}


def _timing(subject: Subject, *, batches: Sequence[int], rounds: int = 5) -> dict[str, Any]:
    """Seconds of the forward and the backward pass of a training step, for every one of the batch sizes.

    As the run trains: in its precision, layout and micro-batches, on its examples, compiled where it is. How fast a
    machine is has nothing to do with the weights.
    """
    task, data, precision = subject.task, subject.data, subject.config["trainer"].get("precision")
    if str(precision) not in AUTOCAST:
        raise UsageError(f"timing: precision {precision} is not known, expected {' or '.join(AUTOCAST)}.")
    pool = data.batches("train", examples=min(max(batches), data.n_train))
    found = time_passes(
        task, of_sizes(pool, batches), criterion_of(task), rounds=rounds, autocast=AUTOCAST[str(precision)],
        micro_batch=task.micro_batch, forward=task.train_forward,
    )  # fmt: skip
    return {
        **{name: list(value) if isinstance(value, tuple) else value for name, value in vars(found).items()},
        "precision": str(precision), "micro_batch": task.micro_batch, "device": _device(),
    }  # fmt: skip


def _steps(subject: Subject, *, batch: int, rounds: int, steps: int, rho: float, adaptive_rho: float) -> dict[str, Any]:
    """Seconds of an optimizer step at a batch size: of the base of a run's SAM alone, of SAM, and of ASAM.

    As the run trains, and of the same weights: the rate is 0. The ratio to the base is taken within a round.
    """
    task, data, precision = subject.task, subject.data, subject.config["trainer"].get("precision")
    (pair,) = of_sizes(data.batches("train", examples=min(batch, data.n_train)), [batch])
    ways: dict[str, dict[str, Any]] = {
        "plain": {"rho": 0.0, "adaptive": False},
        "sam": {"rho": rho, "adaptive": False},
        "asam": {"rho": adaptive_rho, "adaptive": True},
    }
    found = step_seconds(task, pair, list(ways.values()), rounds=rounds, steps=steps, precision=precision)
    return {
        "seconds": {way: median(each) for way, each in zip(ways, found, strict=True)},
        "ratios": {
            way: [own / base for own, base in zip(each, found[0], strict=True)]
            for way, each in zip(ways, found, strict=True)
        },
        "precision": str(precision), "micro_batch": task.micro_batch, "device": _device(),
    }  # fmt: skip


def _device() -> str:
    """What is timed, in words."""
    threads = torch.get_num_threads()
    cpu = f"CPU, {threads} thread{'s' * (threads > 1)}"
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else cpu


def _ball(subject: Subject, *, examples: int | None = None, **options: Any) -> dict[str, Any]:
    """Rise of the loss in a ball around the weights."""
    train = subject.train(examples)
    return dict(vars(ball_sharpness(subject.network, train, statistics=subject.statistics, **options)))


def _weights(subject: Subject, *, bins: int, limit: float | None = None) -> dict[str, Any]:
    """Histogram of the weights."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(weight_histogram(subject.network, bins=bins, limit=limit)).items()
    }


def _surface(
    subject: Subject, *, directions: Sequence[int], normalise: Any, low: float, high: float, points: int,
    examples: int | None = None, test_examples: int | None = 0,
) -> dict[str, Any]:  # fmt: skip
    """Losses and accuracies along one random direction, or over the plane of two; each is drawn from its seed.

    Test examples: None for all of them, 0 for none.
    """
    sets = {"train": subject.train(examples)}
    if test_examples != 0:
        sets["test"] = subject.data.batches("test", examples=test_examples)
    drawn = [random_direction(subject.network, seed, normalise=normalise) for seed in directions]
    alphas = _evenly(low, high, points)
    betas = alphas if len(drawn) > 1 else None
    found = surface(subject.network, sets, drawn, alphas, betas, statistics=subject.statistics)
    return {
        "alphas": alphas, "betas": betas, "losses": found.losses, "accuracies": found.accuracies,
        "statistics": subject.statistics,
    }  # fmt: skip


def _eigenvalues(
    subject: Subject, *, examples: int | None = None, lowest_products: int = 0, **options: Any
) -> dict[str, Any]:
    """The largest eigenvalues of the training loss's Hessian and, within so many products, its most negative one."""
    train, statistics = subject.train(examples), subject.statistics
    found = _plain(top_eigenvalues(subject.network, train, statistics=statistics, **options))
    found["lambda_max"] = found["values"][0]
    if lowest_products:
        # Minus the loss has minus the Hessian, so its largest eigenvalue is the smallest of the loss. The bulk near 0
        # has it hard to be told apart, and a share of its own size is enough to set it against the largest.
        below = top_eigenvalues(
            subject.network, train, loss=_negated, statistics=statistics, tolerance=0.05, most_products=lowest_products
        )
        found["lambda_min"] = -below.values[0]
        found["lowest"] = {name: getattr(below, name)[0] for name in ("residuals", "converged")}
        found["lowest"]["products"] = below.products
    return found


def _negated(outputs: Tensor, targets: Tensor) -> Tensor:
    """Minus the cross-entropy; from float64 outputs, as the cross-entropy of every measure."""
    return -cross_entropy(outputs.double(), targets)


def _along(
    subject: Subject, *, span: float, points: int, tolerance: float, examples: int | None = None
) -> dict[str, Any]:
    """Training loss along the eigenvector of the Hessian's largest eigenvalue, at distances up to `span` either way.

    Its sign is arbitrary: it is turned so that the loss is the higher at the positive end.
    """
    train, statistics = subject.train(examples), subject.statistics
    top = top_eigenvalues(subject.network, train, statistics=statistics, tolerance=tolerance, vectors=True)
    assert top.vectors is not None
    alphas = _evenly(-span, span, points)
    found = surface(subject.network, {"train": train}, top.vectors[0], alphas, statistics=statistics)
    turn = -1 if found.losses["train"][0] > found.losses["train"][-1] else 1
    return {
        "alphas": alphas, "losses": found.losses["train"][::turn], "accuracies": found.accuracies["train"][::turn],
        "loss": found.start_losses["train"], "lambda_max": top.values[0], "residual": top.residuals[0],
        "converged": top.converged[0], "products": top.products, "examples": found.examples, "statistics": statistics,
    }  # fmt: skip


def _adversarial(
    subject: Subject, *, epsilons: Sequence[float], split: Any = "test", examples: int | None = None
) -> dict[str, Any]:
    """Loss and accuracy under the fast gradient sign method, its ε in units of pixels in [0, 1], to which it clips."""
    data = subject.data
    if data.normalise != "unit":
        raise UsageError(f"adversarial: ε is in pixels, so the data must have normalise unit, got {data.normalise}.")
    batches, statistics = data.batches(split, examples=examples), subject.statistics
    return _plain(fgsm(subject.network, batches, epsilons, low=0.0, high=1.0, statistics=statistics))


def _density(subject: Subject, *, examples: int | None = None, **options: Any) -> dict[str, Any]:
    """Density of all eigenvalues of the training loss's Hessian."""
    train = subject.train(examples)
    return _plain(spectral_density(subject.network, train, statistics=subject.statistics, **options))


def _trace(subject: Subject, *, examples: int | None = None, **options: Any) -> dict[str, Any]:
    """Trace of the training loss's Hessian."""
    train = subject.train(examples)
    return _plain(hessian_trace(subject.network, train, statistics=subject.statistics, **options))


def _plain(result: Any) -> dict[str, Any]:
    """The fields of a measure's result that JSON can hold."""
    found = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(result).items()}
    return {name: value for name, value in found.items() if name != "vectors"}


KINDS: dict[str, Callable[..., dict[str, Any]]] = {
    "evaluation": _evaluation,
    "sharpness": _sharpness,
    "path": _path,
    "distance": _distance,
    "linear-approximation": _approximations,
    "norms": _norms,
    "timing": _timing,
    "steps": _steps,
    "ball": _ball,
    "weights": _weights,
    "surface": _surface,
    "eigenvalues": _eigenvalues,
    "along": _along,
    "adversarial": _adversarial,
    "density": _density,
    "trace": _trace,
}
"""Name of each measure -> what takes it, from the subject and the measure's options."""
