"""Studies that compare ways of training: what differs from a recipe, and the tidy frames of what came of it.

A problem is a network on a data set at a scale; an arm is one way of training it, a few settings over its recipe. The
papers that change the batch size or the rate while training goes on are all of this form.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from bsgap.analysis import Interval, mean_interval, paired_interval
from bsgap.errors import UsageError
from reproduce import drawing
from reproduce.claims import Claim
from reproduce.results import Results
from reproduce.study import Plan, Scalar, Trial

PER_CENT = ("train_accuracy", "test_accuracy", "train_error", "test_error")
UNJUDGED = "; not judged: "
"""Between the rule of a claim and what is said beside it; the report's sections print the latter."""
COLUMNS = ("panel", "problem", "arm", "key", "seed", "step", "epoch", "examples", "value", "diverged")


@dataclass(frozen=True)
class Arm:
    """One way of training.

    Attributes:
        key: Its name in the module: `adaptive`.
        label: What a legend calls it.
        overrides: Dotted option -> scalar, as pairs: what differs from the recipe.
        longer: Multiple of the problem's epochs that its run takes, for the estimate of the time.
        batch: Batch size that the run starts with, where figures need it.
    """

    key: str
    label: str
    overrides: tuple[tuple[str, Scalar], ...] = ()
    longer: float = 1.0
    batch: int | None = None


@dataclass(frozen=True)
class Problem:
    """One network on one data set at one scale, and the ways of training it.

    Attributes:
        recipe: Its recipe under `configs/<paper>/`.
        label: What a panel's title or a legend calls it.
        data: Network and data in words, with the word analogue where they are not the paper's.
        source: Name of the data set.
        arms: The ways of training it, in the paper's order.
        epochs: Epochs of a run.
        examples: Training examples in an epoch.
        seconds: Rough duration of an epoch of one run on one core.
        statistics: Source of the BatchNorm statistics of evaluations; empty without BatchNorm.
    """

    recipe: str
    label: str
    data: str
    source: str
    arms: tuple[Arm, ...]
    epochs: int
    examples: int
    seconds: float = 1.0
    statistics: str = "running"

    def arm(self, key: str) -> Arm | None:
        """The arm of that name; None where this problem has none."""
        return next((arm for arm in self.arms if arm.key == key), None)


Problems = Mapping[str, Mapping[str, Problem]]
"""Scale -> name of the network (as `--network` takes it) -> problem."""


def trial(plan: Plan, problem: Problem, arm: Arm, seed: int) -> Trial:
    """The run of one arm and seed."""
    return Trial(
        plan.paper, problem.recipe, plan.scale, seed, tuple(sorted(arm.overrides)),
        label=f"{problem.label}, {arm.label}, seed {seed}",
        seconds=problem.seconds * problem.epochs * arm.longer,
    )  # fmt: skip


def trials(
    plan: Plan, problems: Problems, *, names: Sequence[str] | None = None, keys: Sequence[str] | None = None
) -> list[Trial]:
    """Every run of the plan's networks, or of some of them and some of their arms.

    Args:
        plan: Names scale, networks and seeds.
        problems: The paper's.
        names: Networks; None for all that the plan runs.
        keys: Arms; None for all that a problem has.
    """
    return [
        trial(plan, problem, arm, seed)
        for name, problem in present(plan, problems, names).items()
        for arm in problem.arms
        if keys is None or arm.key in keys
        for seed in range(plan.seeds[name])
    ]


def present(plan: Plan, problems: Problems, names: Sequence[str] | None = None) -> dict[str, Problem]:
    """Name -> problem of the networks that the plan runs, in the paper's order."""
    chosen = plan.networks if names is None else [name for name in names if name in plan.networks]
    return {name: problems[plan.scale][name] for name in chosen}


def curve(results: Results, run: Trial, metric: str) -> pd.DataFrame | None:
    """Columns step, epoch, examples, value of one metric of a run; None where it has not been run.

    Accuracies are in per cent; `train_error` and `test_error` are 100 minus them.
    """
    found = results.curves(run)
    if found is None:
        return None
    stored = metric.replace("error", "accuracy")
    rows = found.loc[found["metric"] == stored, ["step", "epoch", "examples", "value"]].reset_index(drop=True)
    if metric in PER_CENT:
        rows["value"] = 100 * rows["value"]
    if stored != metric:
        rows["value"] = 100 - rows["value"]
    return rows


def frame(
    plan: Plan,
    results: Results,
    problems: Problems,
    metric: str,
    *,
    names: Sequence[str] | None = None,
    keys: Sequence[str] | None = None,
) -> pd.DataFrame:
    """The curves of a metric, one row a point: panel, problem, arm, key, seed, step, epoch, examples, value, diverged.

    Empty where nothing has been run.
    """
    parts = []
    for name, problem in present(plan, problems, names).items():
        for arm in problem.arms:
            if keys is not None and arm.key not in keys:
                continue
            for seed in range(plan.seeds[name]):
                run = trial(plan, problem, arm, seed)
                rows = curve(results, run, metric)
                if rows is not None and len(rows):
                    place = {"panel": problem.label, "problem": name, "arm": arm.label, "key": arm.key, "seed": seed}
                    parts.append(rows.assign(**place, diverged=results.diverged(run)))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)] if parts else pd.DataFrame(columns=list(COLUMNS))


def final(results: Results, run: Trial, metric: str, last: int = 1) -> float | None:
    """Median of the last evaluations of a metric; None where it has not been run, NaN where it diverged.

    Args:
        results: What is in the store.
        run: The run.
        metric: As in `curve`.
        last: Evaluations that the median is taken over; Goyal et al. take five.
    """
    rows = curve(results, run, metric)
    if rows is None or rows.empty:
        return None
    return math.nan if results.diverged(run) else float(rows["value"].iloc[-last:].median())


def finals(
    plan: Plan, results: Results, problems: Problems, name: str, key: str, metric: str, last: int = 1
) -> dict[int, float]:
    """Seed -> `final` of an arm of a network, for the seeds that have been run; NaN where a run diverged."""
    if name not in plan.networks:
        return {}
    problem = problems[plan.scale][name]
    arm = problem.arm(key)
    if arm is None:
        return {}
    found = {seed: final(results, trial(plan, problem, arm, seed), metric, last) for seed in range(plan.seeds[name])}
    return {seed: value for seed, value in found.items() if value is not None}


def compared(
    a: Mapping[int, float], b: Mapping[int, float] | float, effect: Literal["difference", "ratio"] = "difference"
) -> Interval | None:
    """The seed-paired interval of a against b (`difference`: a - b, `ratio`: a / b); None where a side is missing."""
    other = dict.fromkeys(a, b) if isinstance(b, float) else dict(b)
    both = {seed for seed in a if seed in other}
    if not both:
        return None
    return paired_interval({seed: a[seed] for seed in both}, {seed: other[seed] for seed in both}, effect)


def averaged(values: Mapping[int, float]) -> Interval | None:
    """The interval of the mean over seeds; None where there are none."""
    return mean_interval(dict(values)) if values else None


def beside(claim: Claim, words: str) -> Claim:
    """The claim with numbers at the end of its rule that put its verdict in place without deciding it."""
    return replace(claim, rule=f"{claim.rule}{UNJUDGED}{words}") if words else claim


def mean_and_spread(values: Iterable[float], planned: int | None = None) -> str:
    """`mean ± standard deviation` for a table; a dash where there is nothing, `diverged` where nothing is finite.

    Args:
        values: One a seed.
        planned: How many there are to be; fewer are stated.

    >>> mean_and_spread([1.0, 2.0, 3.0]), mean_and_spread([1.0], planned=3)
    ('2.00 ± 1.00', '1.00 (n = 1)')
    """
    given = [value for value in values if value is not None]
    finite = np.array([value for value in given if math.isfinite(value)])
    if not given:
        return "–"
    if not len(finite):
        return "diverged"
    spread = f" ± {finite.std(ddof=1):.2f}" if len(finite) > 1 else ""
    lost = f" ({len(given) - len(finite)} of {len(given)} diverged)" if len(finite) < len(given) else ""
    fewer = f" (n = {len(given)})" if planned is not None and len(given) < planned else ""
    return f"{finite.mean():.2f}{spread}{lost}{fewer}"


def signed(interval: Interval | None) -> str:
    """`+1.10 [0.42, 1.78]` for a table, without bounds for one seed; a dash where there is nothing.

    >>> signed(Interval(-0.5, -1.25, 0.25, 3))
    '−0.50 [−1.25, 0.25]'
    """
    if interval is None or not interval.n or not math.isfinite(interval.estimate):
        return "–"
    text = with_sign(interval.estimate)
    return text + (f" [{interval.low:.2f}, {interval.high:.2f}]".replace("-", "−") if interval.n > 1 else "")


def with_sign(value: float) -> str:
    """A number with its sign, for a table or a claim.

    >>> with_sign(0.14), with_sign(-0.5)
    ('+0.14', '−0.50')
    """
    return f"{value:+.2f}".replace("-", "−")


def footer(
    plan: Plan, results: Results, shown: Mapping[str, Problem], *notes: str, of: Sequence[str] = ()
) -> drawing.Footer:
    """Where the numbers of a figure come from.

    Args:
        plan: Names scale and seeds.
        results: Names the machines.
        shown: The problems that are drawn, by network.
        notes: Further remarks.
        of: Networks that the paper's figure has; those that do not run here are named.

    Raises:
        UsageError: Nothing is drawn.
    """
    if not shown:
        raise UsageError("a figure without runs has no footer: draw it only when at least one run is there")
    counts = {problem.label: plan.seeds[name] for name, problem in shown.items()}
    text = ", ".join(f"{label}: {count} seed{'s' if count > 1 else ''}" for label, count in counts.items())
    statistics = dict.fromkeys(problem.statistics for problem in shown.values() if problem.statistics)
    return drawing.Footer(
        plan.scale, "; ".join(dict.fromkeys(problem.data for problem in shown.values())),
        next(iter(counts.values())) if len(set(counts.values())) == 1 else text, " and ".join(statistics),
        results.machine_class, [name for name in of if name in plan.not_run], notes,
    )  # fmt: skip
