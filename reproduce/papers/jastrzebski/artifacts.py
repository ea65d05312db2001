"""The figures and tables of jastrzebski, with their captions."""

from reproduce.papers.jastrzebski import figures, tables, trials
from reproduce.study import Artifact

_NORM = (
    "Hessian norm: the largest eigenvalue of the Hessian of the training loss over a fixed sample of training "
    "examples, by Lanczos' method. "
)

ARTIFACTS = (
    Artifact(
        "fig1", "Hessian norm and accuracy against the ratio of rate to batch size",
        _NORM + "Matched loss: the weights at which the runs of a seed first reached the lowest declared training loss "
        "that all of them reached. Pairs of one ratio stand side by side. The paper shows the norm and the validation "
        "accuracy at the end.",
        "figure", trials.swept, trials.swept_norms, figures.against_ratio,
    ),
    Artifact(
        "fig2", "Loss along the lines between solutions",
        "Cross-entropy at (1 − α)·first + α·second of the pairs (η, S) named over each panel; both runs of a seed "
        "start from the same weights. Solid: training sample, dashed: test.",
        "figure", trials.joined, trials.lines, figures.lines,
    ),
    Artifact(
        "fig3", "Equal ratios of rate to batch size, and equal rates",
        _NORM + "At one ratio the rate grows with the batch size; at one rate the ratio falls with it. The paper shows "
        "lines between the solutions of one ratio.",
        "figure", trials.compared,
        lambda plan, results: trials.norms(plan, results, ("equal", "unequal")), figures.equal_ratios,
    ),
    Artifact(
        "pairs", "What every pair of rate and batch size came to",
        "At the end of training, mean ± standard deviation over seeds: training loss (nats) over all training "
        "examples, the largest eigenvalue λ1 of the Hessian at the end and at matched loss, and test accuracy.",
        "table", trials.every, trials.norms, tables.pairs,
    ),
)  # fmt: skip
