"""The figures and tables of Golmant et al., in the paper's order, with their captions."""

from reproduce.papers.golmant import figures, tables
from reproduce.papers.golmant.problems import BASE, CONTOURS, DATA_SETS, LINEAR, NETWORKS, SIZES, problem
from reproduce.papers.golmant.trials import of_longer, of_problems, of_sizes
from reproduce.results import Results
from reproduce.study import Artifact, Measure, Plan, Trial

_CONTOUR = (
    "Loss on a logarithmic colour scale (mean of the log loss over seeds) at each batch size and iteration; base "
    "learning rate (left) and linear scaling rule (right). Every batch size trains for the same number of epochs, so "
    "large ones end early. To read the iterations to a loss, follow its level line."
)
_SPEED = (
    "Speed-up s(m; m0) = k(m0)/k(m), with k(m) the iterations until the loss on a fixed sample of training examples "
    "falls to the threshold: the lower quartile of the losses at every step of the largest batch at the base rate. "
)
_MARKS = "Hollow markers: the threshold was not reached, the bound is drawn; crosses: diverged."


def _nothing(plan: Plan, results: Results) -> list[Measure]:
    return []


def _main(plan: Plan, *rules: str) -> list[Trial]:
    return of_problems(plan, ("ResNet34",), rules)


def _all(plan: Plan) -> list[Trial]:
    """Every run of every speed-up curve."""
    whole = [trial for name in plan.networks for trial in of_problems(plan, (name,), problem(plan, name).rules)]
    return whole + of_sizes(plan, SIZES)


def _base(plan: Plan) -> list[Trial]:
    return of_problems(plan, NETWORKS + DATA_SETS, (BASE,))


ARTIFACTS = (
    Artifact(
        "fig1", "Training loss over batch size and iterations", _CONTOUR,
        "figure", lambda plan: of_problems(plan, CONTOURS, (BASE, LINEAR)), _nothing,
        lambda plan, results: figures.contours(plan, results, "train_loss"),
    ),
    Artifact(
        "table1", "Configurations, the paper's and as run here",
        "The paper leaves momentum, weight decay and augmentation open, and the base batch size, here the smallest. "
        "BLR: base rate, LSR: linear scaling, SRSR: square root scaling. Warm-up applies to LSR and SRSR, in epochs.",
        "table", lambda plan: [], _nothing, tables.configurations,
    ),
    Artifact(
        "fig2left", "Speed-up under three rules for the learning rate",
        _SPEED + "All rules share the threshold. Vertical lines: the break points of the base rate. " + _MARKS,
        "figure", lambda plan: _main(plan, *problem(plan, "ResNet34").rules) if "ResNet34" in plan.networks else [],
        _nothing, figures.rules,
    ),
    Artifact(
        "fig2right", "Error of the linear approximation and test accuracy",
        "At the final weights w* of runs with the linear rule: |L(w) - L(w*) + η(m/m0)‖g_m‖²| with "
        "w = w* - η(m/m0)g_m, L over the whole training set and g_m over one mini-batch (mean over three); dashed, the "
        "same with the mini-batch's own loss for L. BatchNorm takes its statistics over as many examples as in "
        "training.",
        "figure", lambda plan: _main(plan, LINEAR), figures.approximation_measures, figures.linearity,
    ),
    Artifact(
        "fig3", "Speed-up by network and by data set",
        _SPEED + "Base rate; each curve has its own threshold. " + _MARKS,
        "figure", _base, _nothing, figures.compared,
    ),
    Artifact(
        "fig4", "Speed-up by share of the data",
        _SPEED + "Base rate; the threshold is taken anew for each share. " + _MARKS,
        "figure", lambda plan: of_sizes(plan, SIZES), _nothing, figures.sizes,
    ),
    Artifact(
        "fig5", "Test loss over batch size and iterations", _CONTOUR,
        "figure", lambda plan: of_problems(plan, CONTOURS, (BASE, LINEAR)), _nothing,
        lambda plan, results: figures.contours(plan, results, "test_loss"),
    ),
    Artifact(
        "regimes", "Break points of every speed-up curve",
        "Fit of three regimes to log2 k over log2 m: slope -1, then a smaller slope, then 0. Estimates are geometric "
        "means over seeds with their 95 % interval. B_crit: from k = k_min (1 + B_crit/m).",
        "table", _all, _nothing, tables.break_points,
    ),
    Artifact(
        "cost", "Total cost to the threshold",
        "Iterations times batch size until the threshold of Fig. 2, left: level where the speed-up is linear, rising "
        "where it is not. Not a figure of the paper, but its argument.",
        "figure", lambda plan: _main(plan, *problem(plan, "ResNet34").rules) if "ResNet34" in plan.networks else [],
        _nothing, figures.cost,
    ),
    Artifact(
        "levels", "Speed-up at lower losses",
        "As Fig. 2, left, with the threshold taken from smaller batches, which reach lower losses. “There are lower "
        "loss thresholds that are attainable only in the small batch case”, says the paper, and shows none. " + _MARKS,
        "figure", lambda plan: _main(plan, *problem(plan, "ResNet34").rules) if "ResNet34" in plan.networks else [],
        _nothing, figures.levels,
    ),
    Artifact(
        "longer", "What training longer gives",
        "The largest batch, trained for more epochs, beside the smallest. With a constant rate a longer run repeats "
        "the shorter one, so the steps to a threshold can change only where the shorter run never reached it. Not a "
        "figure of the paper, but its argument.",
        "figure", of_longer, figures.longer_measures, figures.longer,
    ),
    Artifact(
        "contradictions", "What the paper says in two places",
        "Statements on the same subject that exclude each other.",
        "table", lambda plan: [], _nothing, tables.contradictions,
    ),
)  # fmt: skip
