"""The runs, measurements and numbers that the figures, tables and claims of adabatch share."""

import math

from reproduce import arms
from reproduce.papers.adabatch.problems import PROBLEMS, SMALL, schedule
from reproduce.results import Results
from reproduce.study import Measure, Plan, Trial

ROUNDS = 5
"""Times that a step of each batch size is timed; the measure takes the median."""
DIRECTIONS = ("forward", "backward")


def every(plan: Plan) -> list[Trial]:
    """Every run."""
    return arms.trials(plan, PROBLEMS)


def small(plan: Plan) -> list[Trial]:
    """The runs at whose weights steps are timed."""
    return arms.trials(plan, PROBLEMS, keys=(SMALL,))


def timing(plan: Plan, name: str, seed: int) -> Measure:
    """Seconds of a step, forward and backward, of a network at each batch size that some arm trains at."""
    problem = PROBLEMS[plan.scale][name]
    arm = problem.arm(SMALL)
    assert arm is not None  # every problem has the three
    options = (("batches", schedule(plan.scale, name).batches()), ("rounds", ROUNDS))
    return Measure("timing", ((arms.trial(plan, problem, arm, seed), "final"),), options, seconds=10 * problem.seconds)


def timings(plan: Plan, results: Results) -> list[Measure]:
    """Every `timing`."""
    return [timing(plan, name, seed) for name in plan.networks for seed in range(plan.seeds[name])]


def seconds_an_example(plan: Plan, results: Results, name: str, seed: int, direction: str) -> dict[int, float] | None:
    """Batch size -> seconds that an example takes, one way through the network; None where it was not measured.

    NaN where the run diverged: its weights are no network's, and numbers that are not finite take other times.
    """
    measure = timing(plan, name, seed)
    batches = schedule(plan.scale, name).batches()
    if results.diverged(measure.of[0][0]):
        return dict.fromkeys(batches, math.nan)
    found = results.measured(measure)
    if found is None:
        return None
    return {batch: value / batch for batch, value in zip(found["batches"], found[f"{direction}_seconds"], strict=True)}


def speedup(plan: Plan, name: str, key: str, seconds: dict[int, float]) -> float:
    """Time of an example at the small batch size over that in an arm, whose phases count by their epochs.

    Args:
        plan: Names the scale.
        name: The network.
        key: The arm.
        seconds: Batch size -> seconds an example.
    """
    chosen = schedule(plan.scale, name)
    return chosen.epochs * seconds[chosen.small] / sum(
        epochs * seconds[batch] for epochs, batch, _ in chosen.phases(key)
    )  # fmt: skip


def speedups(plan: Plan, results: Results, name: str, key: str, direction: str) -> dict[int, float]:
    """Seed -> `speedup`, for the seeds that were measured."""
    found = {}
    for seed in range(plan.seeds[name]) if name in plan.networks else ():
        seconds = seconds_an_example(plan, results, name, seed, direction)
        if seconds is not None:
            found[seed] = speedup(plan, name, key, seconds)
    return found


def errors(plan: Plan, results: Results, name: str, key: str) -> dict[int, float]:
    """Seed -> test error (%) at the end; NaN where it diverged."""
    return arms.finals(plan, results, PROBLEMS, name, key, "test_error")


def updates(plan: Plan, results: Results, name: str, key: str) -> dict[int, float]:
    """Seed -> optimizer steps of the whole run; NaN where it diverged."""
    if name not in plan.networks:
        return {}
    problem = PROBLEMS[plan.scale][name]
    found = {}
    for seed in range(plan.seeds[name]):
        run = arms.trial(plan, problem, problem.arm(key), seed)  # type: ignore[arg-type]  # every problem has the three
        rows = arms.curve(results, run, "train_loss")
        if rows is not None and len(rows):
            found[seed] = math.nan if results.diverged(run) else float(rows["step"].iloc[-1])
    return found
