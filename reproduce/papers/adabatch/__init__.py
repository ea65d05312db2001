"""Devarakonda, Naumov, Garland 2017, "AdaBatch: Adaptive Batch Sizes for Training Deep Neural Networks"."""

from bsgap.analysis import MIN_SEEDS
from reproduce.papers.adabatch.artifacts import ARTIFACTS
from reproduce.papers.adabatch.claims import every_claim
from reproduce.papers.adabatch.problems import ABSENT, PROBLEMS, SEEDS, schedule
from reproduce.papers.adabatch.trials import ROUNDS
from reproduce.study import Plan, Study


def _notes(plan: Plan) -> list[str]:
    problems = [PROBLEMS[plan.scale][name] for name in plan.networks]
    notes = [
        "The paper's text was not at hand. Its settings are those of others' notes on it and of the authors' script; "
        "they leave open the rate of the large, fixed batch, which here is that of the small one, without warm-up, so "
        "that it takes fewer steps of the same length.",
        "“Within 1 %” is read as less than one point of test error above that of the small batch, at the end of "
        "training; the authors' script keeps the best test accuracy instead, which chooses on test data.",
        f"Forward and backward passes are timed alone, {ROUNDS} rounds after a warm-up, on the network where the small "
        "batch ended, with the precision of its training; the update of the weights, of which the adaptive batch needs "
        "fewer, is in neither.",
        "The published timings, of the laptop scale, were measured with one job on a machine that was otherwise quiet. "
        "Beside other jobs the steps of a batch size take what those leave of the machine.",
        "An epoch drops its last, smaller batch, as in the authors' script, so that every step is one of as many "
        "examples. BatchNorm takes its statistics over the whole batch, whatever its size, and running averages at "
        "evaluation.",
    ]
    analogues = [problem.data for problem in problems if "analogue" in problem.data]
    if analogues:
        notes.append("Analogues, where network or data are not the paper's: " + "; ".join(analogues) + ".")
    if plan.scale in ("demo", "laptop"):
        chosen = schedule(plan.scale, plan.networks[0])
        notes.append(
            f"{chosen.epochs} epochs stand for 100, with milestones every {chosen.every} instead of 20, and batches of "
            f"{chosen.small} to {chosen.large} for 128 to 2048 (AlexNet: 256 to 4096): a larger share of the data, but "
            "as many doublings. No augmentation."
        )
    few = [name for name in plan.networks if plan.seeds[name] < MIN_SEEDS]
    if few:
        notes.append(f"With fewer than {MIN_SEEDS} seeds ({', '.join(few)}) a claim is inconclusive by its rule.")
    return notes


STUDY = Study(
    name="adabatch",
    title="AdaBatch: Adaptive Batch Sizes for Training Deep Neural Networks",
    citation="Devarakonda, Naumov, Garland. 2017, arXiv:1712.02029",
    networks=SEEDS,
    absent=ABSENT,
    data=lambda name, scale: PROBLEMS[scale][name].source,
    artifacts=ARTIFACTS,
    claims=every_claim,
    notes=_notes,
)
