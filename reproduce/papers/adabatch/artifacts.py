"""The figures and tables of AdaBatch, with their captions."""

from reproduce.papers.adabatch import figures, tables
from reproduce.papers.adabatch.trials import every, small, timings
from reproduce.results import Results
from reproduce.study import Artifact, Measure, Plan

_ARMS = (
    "The small batch, the large one, and the adaptive one, which starts at the small size and doubles at every "
    "milestone (dotted lines) up to the large size. At a milestone the rate of the fixed batches is multiplied by "
    "0.375, that of the adaptive one by 0.75: it keeps the small batch's rate over batch size. "
)
_TIMES = (
    "at every batch size that the schedule goes through, each weighted with the epochs spent there, so for the same "
    "number of examples"
)


def _nothing(plan: Plan, results: Results) -> list[Measure]:
    return []


ARTIFACTS = (
    Artifact(
        "schedule", "Batch size and learning rate from milestone to milestone",
        "What each arm does, as declared in the recipes. Small and adaptive have the same rate over batch size all "
        "along.",
        "table", lambda plan: [], _nothing, tables.schedules,
    ),
    Artifact(
        "loss", "Training loss by epoch",
        _ARMS + "The loss is that of a fixed sample of training examples.",
        "figure", every, _nothing, figures.loss,
    ),
    Artifact(
        "error", "Test error by epoch", _ARMS,
        "figure", every, _nothing, figures.error,
    ),
    Artifact(
        "updates", "Test error by number of updates",
        "The runs and errors of the figure by epoch, over the optimizer steps taken (log). All arms pass over the data "
        "equally often, so those with larger batches end early. Not a figure of the paper, but what its schedule is "
        "for.",
        "figure", every, _nothing, figures.against_updates,
    ),
    Artifact(
        "endings", "Test error and updates at the end",
        "Mean ± standard deviation over seeds of the last test error, not of the best one. The paper's own errors "
        "could not be checked and are not shown.",
        "table", every, _nothing, tables.endings,
    ),
    Artifact(
        "speedup", "Measured speed-up of the forward and the backward pass",
        "Time of the passes with the small batch over that of the adaptive one (left) and of the large one (right), "
        "which is the most that growth could gain. Single steps are timed " + _TIMES + ". What a larger batch gains "
        "depends on the machine: a GPU fills up, a CPU core only saves what each step costs whatever its size. "
        "Diamonds: what the paper reports for one GPU and CIFAR-100.",
        "figure", small, timings, figures.bars,
    ),
    Artifact(
        "times", "Time of an example at each batch size",
        "Medians over seeds of the timed steps behind the speed-ups.",
        "table", small, timings, tables.times,
    ),
)  # fmt: skip
