"""The figures and tables of Hoffer et al., in the paper's order, with their captions."""

from reproduce.papers.hoffer import figures, tables
from reproduce.papers.hoffer.problems import MEMORY
from reproduce.papers.hoffer.trials import by_size, by_stage, walking
from reproduce.results import Results
from reproduce.study import Artifact, Measure, Plan

_STAGES = (
    "SB: the small batch. LB: the large one, for as many epochs and at the same rate. +LR: its rate times the root of "
    "the ratio of the two. +GBN: besides, BatchNorm over ghost batches of the small size. +RA: besides, the regime "
    "adapted, every number of epochs times that ratio, hence as many updates as the small batch takes. "
)
_FIT = (
    "Fitted by least squares of the distance over the steps at the initial rate, from step "
    f"{MEMORY} on, as the momentum of 0.9 remembers that many. "
)


def _nothing(plan: Plan, results: Results) -> list[Measure]:
    return []


ARTIFACTS = (
    Artifact(
        "fig1", "Error by epoch at every batch size",
        "Error on a fixed sample of the training images and on the test images after every epoch, at one learning rate "
        "for all batch sizes m, for as many epochs.",
        "figure", by_size, _nothing, figures.by_size,
    ),
    Artifact(
        "fig2", "Distance from the start against the logarithm of time",
        "Euclidean distance of the whole weight vector from where it started, while the rate is the initial one. "
        "Left: one rate for all batch sizes m. Middle: the rate times the root of the ratio of m to the small batch "
        "size, and BatchNorm over ghost batches of the small size; the small batch is that of the left panel. Right: "
        "the regime adapted besides, so that the large batch takes as many steps at the initial rate as the small one. "
        "Dashed: a + s ln t. " + _FIT + "A logarithm of time is a straight line here, a random walk without a "
        "potential, which goes with the root of t, bends upwards.",
        "figure", walking, _nothing, figures.diffusion,
    ),
    Artifact(
        "fig3", "Test error of small batch, large batch and each change",
        _STAGES + "By updates the three large-batch runs of as many epochs end early; the epochs of the adapted regime "
        "are divided by the ratio, so that the drops of its rate coincide with those of the others.",
        "figure", by_stage, _nothing, figures.stages,
    ),
    Artifact(
        "table1", "Accuracy of small batch, large batch and each change",
        _STAGES + "Test accuracy (%) at the end, mean ± standard deviation over seeds; below it the paper's validation "
        "accuracy. A dash: not at hand in a form that could be checked.",
        "table", by_stage, _nothing, tables.accuracy,
    ),
    Artifact(
        "stages", "What each change is, and what it gains",
        "Rate: times that of the small batch. Training error: on a fixed sample, at the end, mean ± standard deviation "
        "over seeds. Over LB: seed-paired difference in test accuracy to the large batch, percentage points, with its "
        "95 % interval. Of the gap: the mean gain over the mean gap between SB and LB; a dash where the interval of "
        "the gap is not above 0.",
        "table", by_stage, _nothing, tables.stages,
    ),
    Artifact(
        "diffusion", "The laws of distance and time compared",
        "The drawn distances from the start, fitted by least squares. s: slope of a + s ln t, distance for each "
        "e-fold of the steps, mean ± standard deviation over seeds. R² of that logarithm and of the best power law "
        "c t^p, two parameters each, and p: means over seeds; a random walk without a potential has p = 0.5. All fits "
        "end where the rate first falls, but for the first s, which ends at the last step that every batch size "
        f"takes at its initial rate. The claims are judged on the fits from step {MEMORY} on; those from the second "
        "epoch on (of the adapted regime, from as many updates on as the small batch has by then), after the loss "
        "has fallen fast, are a further reading. A logarithm may beat every power although p is large, where the "
        "distance rises steeply first and flattens then.",
        "table", walking, _nothing, tables.diffusion,
    ),
)  # fmt: skip
