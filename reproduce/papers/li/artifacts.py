"""The figures and tables of Li et al., in the paper's order, with their captions."""

from itertools import product

from reproduce.papers.li import facts, figures, tables
from reproduce.papers.li.problems import DECAYS, SIZES
from reproduce.papers.li.trials import (
    FAR,
    NEAR,
    REACH,
    SHOWN,
    TOP,
    curves,
    drawn,
    drawn_curves,
    grid,
    grids,
    histograms,
    paths,
    run,
    trials,
)
from reproduce.results import Results
from reproduce.study import Artifact, Measure, Plan, Trial

_REPORTED = "; ".join(
    f"{DECAYS[decay]:g}, {batch}: {facts.TEST_ERROR[decay, size]:g} %"
    for decay, (size, batch) in product(DECAYS, (("SB", 128), ("LB", 8192)))
)
_TITLES = (
    "Above each panel: weight decay, batch size and test error of the solution. Reported of VGG-9 on CIFAR-10 (second "
    f"hand): {_REPORTED}. "
)
_FILTER = (
    "Each filter of a direction has the norm of the filter that it moves; biases and BatchNorm stay as they are, the "
    "latter's running averages too. "
)


def _every(plan: Plan) -> list[Trial]:
    """The runs of every network, also of those that are not drawn."""
    return [
        run(plan, decay, size, seed, name)
        for name in plan.networks
        for decay, size in product(DECAYS, SIZES)
        for seed in range(plan.seeds[name])
    ]


def _first(plan: Plan) -> list[Trial]:
    return trials(plan, 1)


def _nothing(plan: Plan, results: Results) -> list[Measure]:
    return []


ARTIFACTS = (
    Artifact(
        "errors", "Test error by weight decay and batch size",
        "At the end of training, mean ± standard deviation over seeds; the training loss is that of a fixed sample. "
        "Reported of VGG-9 on CIFAR-10 (second hand). Beside an analogue, which is another problem, the order compares "
        "and the levels do not.",
        "table", _every, _nothing, tables.errors,
    ),
    Artifact(
        "fig2", "Loss and accuracy on the line between the small-batch and the large-batch solution",
        "The raw interpolation, without weight decay and with it: α = 0 is the small-batch solution, α = 1 the "
        "large-batch one, and BatchNorm's running averages are interpolated like weights; an extrapolated variance "
        "that is negative counts as 0.",
        "figure", trials, paths, figures.interpolations,
    ),
    Artifact(
        "norms", "Norm of the weights by epoch",
        "Weight decay shrinks the weights at every step, and a small batch takes more steps.",
        "figure", trials, _nothing, figures.norms,
    ),
    Artifact(
        "histograms", "How the weights of the solutions are distributed",
        "Where the weights of one solution are smaller, a step of the same length is a larger part of them.",
        "figure", _first, histograms, figures.histograms,
    ),
    Artifact(
        "fig3", "Loss and accuracy along a filter-normalised random direction",
        _TITLES + _FILTER + "The same random direction, before it is normalised, for all four.",
        "figure", _first, drawn_curves, figures.curves,
    ),
    Artifact(
        "contours", "Contours of the training loss over two filter-normalised random directions",
        _TITLES + _FILTER,
        "figure", _first, grids, figures.contours,
    ),
    Artifact(
        "surface", "The same surface around the small-batch solution with weight decay",
        _FILTER + "The data beside the figure hold the grid.",
        "figure", lambda plan: [run(plan, *SHOWN, 0)] if drawn(plan) else [],
        lambda plan, results: [grid(plan, *SHOWN)] if drawn(plan) else [], figures.surface,
    ),
    Artifact(
        "sharpness", "How sharp each solution is by either picture, and its test error",
        f"Raw rise: mean rise (nats) of the training loss, counted up to {TOP:g} nats, at {NEAR:g} to {FAR:g} from the "
        "solution's end of the raw interpolation. Filter-normalised rise: the same within "
        f"|α| ≤ {REACH:g} along random directions, their mean. Width: |α| at which the loss has risen by 1 nat, mean "
        "of both sides and of the directions. Mean ± standard deviation over seeds.",
        "table", trials, lambda plan, results: [*paths(plan, results), *curves(plan, results)], tables.sharpness,
    ),
)  # fmt: skip
