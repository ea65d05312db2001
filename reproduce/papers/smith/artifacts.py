"""The figures and tables of Smith et al., in the paper's order, with their captions."""

from reproduce.papers.smith import figures, tables
from reproduce.papers.smith.problems import MAIN, OTHERS
from reproduce.papers.smith.trials import every, some
from reproduce.results import Results
from reproduce.study import Artifact, Measure, Plan

_ARMS = (
    "Decaying the rate: divided by 5 at every milestone (dotted lines). Hybrid: the batch multiplied by 5 at the first "
    "one, the rate divided at the others. Growing the batch: multiplied by 5 at each as long as its maximum allows, "
    "after that the rate divided. "
)


def _nothing(plan: Plan, results: Results) -> list[Measure]:
    return []


ARTIFACTS = (
    Artifact(
        "fig1", "The schedules: batch size, learning rate and noise scale",
        _ARMS + "Larger rate: five times the rate and the batch from the start; more momentum: besides, 0.98 instead "
        "of 0.9 and five times the batch again. Noise scale g = ηN/(B(1 − m)) for rate η, batch B, momentum m and N "
        "training examples: it falls alike whether the rate decays or the batch grows, so its lines coincide. What "
        "the runs did, from the steps and examples that they counted and the rates that they logged.",
        "figure", every, _nothing, figures.schedules,
    ),
    Artifact(
        "fig2", "Training loss by epochs and by updates",
        _ARMS + "The loss is that of a fixed sample of training examples.",
        "figure", lambda plan: some(plan, (MAIN,)), _nothing, figures.loss,
    ),
    Artifact(
        "fig3", "Test error by epochs and by updates",
        _ARMS + "With momentum, and with Nesterov momentum where that was run. The paper shows the accuracy, 100 % "
        "minus this; on a log scale the end of training can be seen.",
        "figure", lambda plan: some(plan, (MAIN, OTHERS[0])), _nothing, figures.error,
    ),
    Artifact(
        "fig4", "Test error with other optimizers", _ARMS + "Plain SGD and Adam.",
        "figure", lambda plan: some(plan, OTHERS[1:]), _nothing, figures.optimizers,
    ),
    Artifact(
        "fig5", "Test error where the rate is larger from the start",
        "Beside decaying the rate, the hybrid and growing the batch: a rate and a batch five times as large from the "
        "start, and with them a momentum of 0.98 and a batch five times as large again; both then grow the batch. "
        "All arms pass over the data equally often.",
        "figure", every, _nothing, figures.larger,
    ),
    Artifact(
        "updates", "Updates and test accuracy",
        "The paper's numbers of updates as it states them, and in closed form: the sum over the phases of epochs times "
        "examples over batch size. Ours: the batch sizes that a run goes through, its optimizer steps, and its test "
        "accuracy at the end, mean ± standard deviation over seeds.",
        "table", every, _nothing, tables.compared,
    ),
)  # fmt: skip
