"""The figures and tables of Keskar et al., in the paper's order, with their captions."""

from reproduce.papers.keskar import figures, tables
from reproduce.papers.keskar.trials import each, measured_seeds, pairs, readings, setting
from reproduce.results import Results
from reproduce.study import Artifact, Measure, Plan, Trial

_METRIC = (
    "Metric 2.1: the largest relative increase (per cent) found of the training loss in a box of half-width ε(|x_i|+1) "
    "around the solution, by (a) the metric to the letter, ten iterations of L-BFGS-B, and (b) ascent along the sign "
    "of the gradient between vertices of the box, from several starts. Matched loss: the lowest declared level of "
    "training loss that both runs of a seed reached. (b) finds far more than (a) where the loss is very low, and "
    "elsewhere about the same, at times some per cent less."
)
_SUBSPACE = (
    "As Table 3, reading (a), in the span of 100 random directions. The paper leaves their distribution open, and the "
    "numbers depend on its scale by orders of magnitude: compare the ratio of LB to SB. Here the entries of A are "
    "standard normal (scaling “normal”), and both runs of a seed share the subspace."
)
_SHORT = "Sharpness is Metric 2.1 in the full space at ε = 1e-3"


def _measured(plan: Plan) -> list[Trial]:
    return [trial for network, seed, _, trial in each(plan) if seed in measured_seeds(plan, network)]


def _followed(plan: Plan) -> list[Trial]:
    return [trial for network, seed, _, trial in each(plan) if seed < setting(plan, network).followed]


def _nothing(plan: Plan, results: Results) -> list[Measure]:
    return []


ARTIFACTS = (
    Artifact(
        "table2", "Accuracy of small-batch and large-batch solutions",
        "Training and test accuracy in per cent at the end of training, mean ± standard deviation (number of seeds).",
        "table", pairs, tables.accuracy_measures, tables.accuracies,
    ),
    Artifact(
        "table3", "Sharpness in the full space", _METRIC,
        "table", _measured, readings, tables.full_space,
    ),
    Artifact(
        "table4", "Sharpness in a random 100-dimensional subspace", _SUBSPACE,
        "table", _measured, tables.subspace_measures, tables.subspace,
    ),
    Artifact(
        "readings", "How far the maximisers of sharpness went",
        "For each reading of Table 3 at ε = 1e-3: the training loss at the start and the largest one found, the share "
        "of coordinates at their bound there, and the passes over the data. Means over seeds.",
        "table", _measured, readings, tables.maximisers,
    ),
    Artifact(
        "fig2", "Train and test accuracy by epoch",
        "Were the gap over-fitting, large-batch test accuracy would rise to a peak and then decay.",
        "figure", pairs, _nothing, figures.curves,
    ),
    Artifact(
        "fig3", "Loss and accuracy on the line between the two solutions",
        "α = 0 is the small-batch solution, α = 1 the large-batch one, trained from the same start. BatchNorm "
        "statistics are taken from each evaluation batch, as in the authors' code.",
        "figure", figures.path_trials, lambda plan, results: figures.path_measures(plan, "linear"),
        lambda plan, results: figures.paths(plan, results, "linear"),
    ),
    Artifact(
        "fig4", "Test accuracy and sharpness against batch size",
        _SHORT + ", at the end of training: (a) by L-BFGS-B, (b) by sign ascent on the same box.",
        "figure", figures.sweep_trials, figures.sweep_measures, figures.against_batch,
    ),
    Artifact(
        "fig5", "Large-batch training from small-batch iterates",
        "Upper: test accuracy of the small-batch iterate and of large-batch training started from it. Lower: "
        "sharpness of what that training finds. " + _SHORT + ", by sign ascent.",
        "figure", figures.warm_trials, figures.warm_measures, figures.warm_start,
    ),
    Artifact(
        "fig6", "Sharpness against training loss along a run",
        "At the moments at which the loss first fell below declared levels. " + _SHORT + ", by sign ascent.",
        "figure", _followed, figures.level_measures, figures.against_loss,
    ),
    Artifact(
        "fig7", "Loss and accuracy on the curvilinear path",
        "The path is sin(απ/2) x_LB + cos(απ/2) x_SB; α = 0 is the small-batch solution, α = 1 the large-batch one.",
        "figure", figures.path_trials, lambda plan, results: figures.path_measures(plan, "curvilinear"),
        lambda plan, results: figures.paths(plan, results, "curvilinear"),
    ),
    Artifact(
        "distance", "Distance from the start, small batch over large batch",
        "Ratio of the Euclidean distances between the initial and the final parameters of the two runs of a seed.",
        "figure", pairs, figures.distance_measures, figures.distances,
    ),
)  # fmt: skip
