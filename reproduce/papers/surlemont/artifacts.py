"""The figures and tables of surlemont, with their captions."""

from reproduce.papers.surlemont import figures, tables
from reproduce.papers.surlemont.choice import LAST, candidates, following, further
from reproduce.papers.surlemont.controls import (
    LONGER,
    longer_candidates,
    longer_measures,
    longer_runs,
    ratio_measures,
    same_rate_measures,
    same_rate_runs,
)
from reproduce.papers.surlemont.trials import ADAPTIVE_RADIUS, ASCENT, BOX_SIZE, RADIUS, TOP, measures, timings
from reproduce.results import Results
from reproduce.study import Artifact, Measure, Plan

_CHOSEN = (
    "Rate and rho of every cell are the best of a small grid by the validation split with one seed; the final runs "
    "have several seeds and end when the training loss ceases to fall, or with the budget. Accuracies are means over "
    f"the last {LAST} evaluations. "
)
_MEASURES = (
    f"The box is Keskar's, epsilon {BOX_SIZE:g} in the full space, by sign ascent (reading b); the ball is "
    f"‖ε‖ ≤ {RADIUS:g} in l2, the adaptive ball ‖ε/(|w| + 0.01)‖ ≤ {ADAPTIVE_RADIUS:g} over all parameters (ASAM "
    f"itself leaves biases and gains unscaled), both by {ASCENT} steps of projected gradient ascent, the first along "
    "the gradient; λ_max is the largest eigenvalue of the Hessian. All are taken where the run ended, on a fixed "
    "sample of training examples."
)


def _nothing(plan: Plan, results: Results) -> list[Measure]:
    return []


def _eigenvalues(plan: Plan, results: Results) -> list[Measure]:
    return ratio_measures(plan, results, TOP)


ARTIFACTS = (
    Artifact(
        "accuracy", "Test accuracy against batch size",
        "Test accuracy at the end of training, for the plain optimizer, SAM and ASAM. " + _CHOSEN,
        "figure", candidates, _nothing, figures.accuracy, following,
    ),
    Artifact(
        "budget", "Test accuracy at the largest batch, by epochs and by gradients",
        "SAM and ASAM take two gradients a step, so at equal epochs they have had twice as many. Left of each pair: "
        "equal epochs; right: equal passes over the data with gradient.",
        "figure", candidates, _nothing, figures.budget, following,
    ),
    Artifact(
        "sharpness", "Sharpness of the minima against batch size", _MEASURES,
        "figure", candidates, measures, figures.sharpness, following,
    ),
    Artifact(
        "candidates", "Validation accuracy of the candidates for the rate",
        "Each line is a batch size, each panel an optimizer and a method (with the first rho of its grid); one seed, "
        f"means over the last {LAST} evaluations. The highest point of a line is the rate that is chosen.",
        "figure", candidates, _nothing, figures.candidates, further,
    ),
    Artifact(
        "relation", "The best rate against batch size",
        "The rate of the highest validation accuracy: the vertex of a parabola in log rate through the best candidate "
        "and its neighbours, or the candidate itself where a neighbour failed; at an end of the grid it is a bound. "
        "One seed.",
        "figure", candidates, _nothing, figures.relation, further,
    ),
    Artifact(
        "cells", "Test accuracy of every cell",
        f"Per cent, mean over the last {LAST} evaluations of a run, ± standard deviation over seeds; differences in "
        "points, seed-paired, with their 95 % intervals. “Equal gradients” compares after as many gradient evaluations "
        f"as the plain optimizer's epochs have, each by its evaluations of the last {LAST} such passes; rate and rho "
        "were chosen at equal epochs. Fewer seeds than planned are stated.",
        "table", candidates, _nothing, tables.accuracy, following,
    ),
    Artifact(
        "minima", "Sharpness of every cell", _MEASURES + " Mean ± standard deviation over seeds.",
        "table", candidates, measures, tables.sharpness, following,
    ),
    Artifact(
        "flatter", "How much flatter SAM and ASAM are than the plain optimizer",
        "Ratio of each measure at the end of training to that of the plain run of the same batch and seed: geometric "
        "mean over seeds and 95 % interval; below 1 is flatter.",
        "table", candidates, measures, tables.flatness, following,
    ),
    Artifact(
        "matched", "Sharpness at the largest batch at matched training loss",
        "Weights of the moment at which the loss on the fixed training sample first fell below a level that all "
        "of these runs passed, of several that at which their losses lie closest: their range is in the table. "
        "Ratios are geometric means over seeds. A method that merely lowers the loss less is not flatter here.",
        "table", candidates, measures, tables.at_matched_loss, following,
    ),
    Artifact(
        "same-rate", "How much flatter SAM and ASAM are than the plain optimizer at one rate",
        "As in the table of ratios, but the plain runs have the rate of SAM or ASAM, of which rho is that chosen. "
        "Where that is the plain optimizer's own rate, they are the final runs. Fewer seeds than planned are stated.",
        "table", candidates, same_rate_measures, tables.at_one_rate, same_rate_runs,
    ),
    Artifact(
        "one-rate", "The top Hessian eigenvalue beside that of plain training, at the best rates and at one rate",
        "λ_max at the end of training over that of the plain run of the same batch and seed, below 1 is flatter. Left "
        "of each pair: each method at the rate that suits it best, where a lower rate goes with sharper minima; right: "
        "the plain run has the rate of SAM or ASAM. By the box and the ball it is alike, the adaptive ball depends on "
        "the rate the least: see the tables of ratios.",
        "figure", candidates, _eigenvalues, figures.one_rate, same_rate_runs,
    ),
    Artifact(
        "longer", "Test accuracy and training loss in longer training",
        f"The settings chosen in the budget, trained for up to {LONGER} times as many epochs, or until the loss on the "
        "fixed training sample has not fallen by 1 % in some epochs. At a constant rate it does not fall in every "
        "epoch, so the rule also ends runs that would have gone on, the sooner the fewer updates an epoch has. A line "
        "ends where the first of its runs did.",
        "figure", longer_candidates, _nothing, figures.longer, longer_runs,
    ),
    Artifact(
        "longer-minima", "What longer training reached",
        f"Of the same runs, mean ± standard deviation over seeds; test accuracy over the last {LAST} evaluations, "
        "measures where the run ended. " + _MEASURES,
        "table", longer_candidates, longer_measures, tables.longer, longer_runs,
    ),
    Artifact(
        "runtime", "What the runs took",
        "Until the training loss ceased to fall or the budget ended, mean ± standard deviation over seeds; a pass with "
        "gradient goes once over the training data. A step is timed alone, the three methods in turns in one "
        "training: medians over rounds. The training is as many of them as there were updates, without evaluations.",
        "table", candidates, timings, tables.runtime, following,
    ),
    Artifact(
        "settings", "What was chosen, and how the best rate grows with the batch",
        "The grids are those of the figure of candidates. The power p is that of best rate ~ batch^p by least squares "
        "on logarithms over the batch sizes, from the parabola's rates without bounds, with the 95 % interval of the "
        "residuals; the candidates have one seed, so it has no verdict.",
        "table", candidates, _nothing, tables.settings, following,
    ),
)  # fmt: skip
