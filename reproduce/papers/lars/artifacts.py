"""The figures and tables of LARS, with their captions."""

from reproduce.papers.lars import figures, tables
from reproduce.papers.lars.trials import base_runs, norm_measures, trials
from reproduce.results import Results
from reproduce.study import Artifact, Measure, Plan

_BOTH = (
    "Both methods: warm-up, the linear rule from the base batch size on, and a rate that decays as a polynomial of "
    "power 2; each has a base rate of its own. "
)


def _nothing(plan: Plan, results: Results) -> list[Measure]:
    return []


ARTIFACTS = (
    Artifact(
        "accuracy", "Accuracy against batch size, without LARS and with it",
        "Test accuracy (ImageNet: validation accuracy) at the end. " + _BOTH + "Reported on ImageNet (second hand): "
        "without LARS AlexNet with local response normalisation, with LARS AlexNet with BatchNorm, whose baseline "
        "without LARS at 512 has 60.2 %. Beside an analogue, which is another problem, shapes compare and levels do "
        "not.",
        "figure", trials, _nothing, figures.accuracy,
    ),
    Artifact(
        "sizes", "Accuracy at every batch size",
        "The numbers of the figure: test accuracy in per cent at the end, mean ± standard deviation over runs, and the "
        "seed-paired difference of LARS to training without it, in points, with its 95 % interval.",
        "table", trials, _nothing, tables.accuracy,
    ),
    Artifact(
        "curves", "Accuracy by epoch at the base and at the largest batch size",
        "Test accuracy after every epoch. " + _BOTH + "The paper shows AlexNet with BatchNorm at 512 and 8192.",
        "figure", lambda plan: trials(plan, ("base", "largest")), _nothing, figures.curves,
    ),
    Artifact(
        "norms", "Norms of weights and gradients before the first step",
        "l2 norms of each layer's weights and of the gradient over one batch of training examples at the initial "
        "weights; mean ± standard deviation over seeds, biases and BatchNorm left out. LARS gives each layer a rate in "
        "proportion to the ratio. Reported (second hand): two layers of AlexNet with BatchNorm on ImageNet at "
        "iteration 1; of the others no number was at hand.",
        "table", base_runs, norm_measures, tables.norms,
    ),
)  # fmt: skip
