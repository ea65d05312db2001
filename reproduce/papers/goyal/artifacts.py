"""The figures and tables of Goyal et al., in the paper's order, with their captions."""

from reproduce import arms
from reproduce.papers.goyal import figures, tables
from reproduce.papers.goyal.problems import PROBLEMS, key, sizes_of
from reproduce.results import Results
from reproduce.study import Artifact, Measure, Plan, Trial

_ERROR = "The error of a run is the median of its last epochs, as in the paper. "
_IMAGENET = (
    "The reported numbers are those of ResNet-50 on ImageNet (five runs). Beside an analogue, which is another "
    "problem, shapes compare and levels do not."
)


def _nothing(plan: Plan, results: Results) -> list[Measure]:
    return []


def _sweep(plan: Plan) -> list[Trial]:
    return [
        trial
        for name in plan.networks
        for trial in arms.trials(
            plan, PROBLEMS, names=[name], keys=[key(batch) for batch in sizes_of(plan.scale, name).all]
        )
    ]


def _at_large(plan: Plan, *ways: str) -> list[Trial]:
    """The runs of some arms, and of the sweep at the base and the large batch size."""
    found = []
    for name in plan.networks:
        sizes = sizes_of(plan.scale, name)
        found += arms.trials(plan, PROBLEMS, names=[name], keys=[key(sizes.base), key(sizes.large), *ways])
    return found


def _table2(plan: Plan) -> list[Trial]:
    variants = [
        f"{row}-{batch}"
        for name in plan.networks
        for row in ("half", "double", "gains", "deep")
        for batch in (sizes_of(plan.scale, name).base, sizes_of(plan.scale, name).large)
    ]
    moderate = [
        arm
        for name in plan.networks
        for flat in [sizes_of(plan.scale, name).flat]
        for arm in (f"fixed-{flat}", f"square-root-{flat}", key(flat))
    ]
    return _at_large(plan, "fixed", "square-root", *moderate, *variants)


ARTIFACTS = (
    Artifact(
        "fig1", "Error against batch size",
        "Test error (ImageNet: validation error) under the linear rule with a gradual warm-up, ± 2 standard deviations "
        "over runs. " + _ERROR + "Dotted: the knee, the last batch size whose mean error, and that of every smaller "
        "one, is within a declared number of points of the base's. " + _IMAGENET,
        "figure", _sweep, _nothing, figures.against_batch,
    ),
    Artifact(
        "sweep", "Error, steps and rate at every batch size",
        "The numbers of the figure of error against batch size. “Above the base”: the seed-paired difference in "
        "points with its 95 % interval; the last column says whether its mean, and that of every smaller batch size, "
        "is within the declared points: the last yes is the knee. Reported: means and deviations over five runs, "
        "from the legends of the paper's Fig. 3 and Table 3a; their differences to the base are derived from those "
        "means.",
        "table", _sweep, _nothing, tables.sweep,
    ),
    Artifact(
        "table1", "No, constant and gradual warm-up",
        "Linear rule. A constant warm-up keeps the base rate for as many epochs as the gradual one takes to climb to "
        "the scaled rate. " + _ERROR + "Mean ± standard deviation over runs; seed-paired difference to the gradual "
        "warm-up with its 95 % interval. " + _IMAGENET,
        "table", lambda plan: _at_large(plan, "none", "constant"), _nothing, tables.warm_ups,
    ),
    Artifact(
        "fig2", "Training error under each warm-up",
        "Error on a fixed sample of training examples, in evaluation mode, at the large and at the base batch size "
        "(the paper averages the mini-batches' errors as it trains). The base is the same in all panels.",
        "figure", lambda plan: _at_large(plan, "none", "constant"), _nothing, figures.warm_ups,
    ),
    Artifact(
        "table2", "Rules for the rate",
        "Error at the base batch size and at the large one, of analogues also at a moderate one; gradual warm-up "
        "wherever the rate is scaled. A dash: not reported, or not run at this scale. “Above linear”: seed-paired "
        "difference to the base rate under the linear rule at the large batch size, with its 95 % interval. "
        + _ERROR + _IMAGENET,
        "table", _table2, _nothing, tables.rules,
    ),
    Artifact(
        "fig3", "Training and test error by epoch",
        "Error on a fixed sample of training examples and on the test set, after every epoch, at every batch size that "
        "was run. The paper sets each one against the base in a panel of its own, with the training error alone.",
        "figure", _sweep, _nothing, figures.curves,
    ),
)  # fmt: skip
