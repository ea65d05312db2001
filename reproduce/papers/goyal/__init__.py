"""Goyal et al. 2017, "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour" (1706.02677)."""

from bsgap.analysis import MIN_SEEDS
from reproduce.papers.goyal.artifacts import ARTIFACTS
from reproduce.papers.goyal.claims import every_claim
from reproduce.papers.goyal.problems import LAST, PROBLEMS, TOLERANCE, sizes_of
from reproduce.study import Plan, Study

_SEEDS = {scale: dict.fromkeys(problems, 5 if scale == "paper" else 3) for scale, problems in PROBLEMS.items()}
_ABSENT = {
    "demo": {"ResNet-50": "ImageNet is beyond seconds; the analogue runs on the embedded digits"},
    "laptop": {"ResNet-50": "ImageNet is beyond two cores; use --scale paper"},
    "gpu": {"ResNet-50": "ImageNet exceeds the budget; use --scale paper"},
}


def _notes(plan: Plan) -> list[str]:
    points = TOLERANCE[plan.scale]
    notes = [
        "The knee is declared beforehand: the largest batch size such that the mean over seeds of its error minus the "
        f"base's, and that of every smaller one from the base on, is at most {points:g} "
        f"point{'' if points == 1 else 's'}. Means decide, as intervals over three seeds are wide; what "
        "the intervals show by themselves is printed with it. By that rule the paper's own means have "
        "their knee at 8192.",
        "What a worker has of a batch goes through the network at once, so that BatchNorm takes its statistics over as "
        "many examples at every batch size, as in the paper. Workers take turns on one device; their gradients are "
        "averaged over the whole batch. The running averages, with which errors are measured, see the examples of all "
        "workers; the paper's are those of one.",
        "The warm-up climbs in equal increments, one a step. It is used above the base batch size only. No momentum "
        "correction is needed, as the rate is not part of the velocity.",
        "A run that diverged has no error: figures and tables mark it. In the claims it counts as one that answers at "
        "random, as that is what the claims are about.",
        "An epoch drops its last, smaller batch, so every step is one of as many examples.",
    ]
    analogues = [PROBLEMS[plan.scale][name].data for name in plan.networks]
    if any("analogue" in data for data in analogues):
        notes.append(
            "Analogues of ResNet-50 on ImageNet: "
            + "; ".join(analogues)
            + ". They have the paper's optimizer (Nesterov "
            "momentum 0.9, weight decay 1e-4, none on BatchNorm), schedule (drops by 10 at the same shares of the "
            "epochs), initial gains of 0 at the end of each block, and rules. The whole ImageNet recipe is that of "
            "--scale paper."
        )
    if plan.scale in ("demo", "laptop"):
        notes.append(
            "No augmentation. The warm-up takes 1 of 12 epochs, more than the paper's 5 of 90, as an epoch has few "
            f"steps; the median is taken over the last {LAST[plan.scale]} epochs instead of 5. The base batch size and "
            "its rate are chosen here, without a search."
        )
    if plan.scale == "demo":
        notes.append("The batch sizes were chosen after some runs on the digits had been seen.")
    if plan.scale == "gpu":
        notes.append("A worker has 128 examples instead of 32, and the schedule is half as long.")
    for name in plan.networks:
        sizes, examples = sizes_of(plan.scale, name), PROBLEMS[plan.scale][name].examples
        if plan.scale != "paper":
            notes.append(
                f"The tables of warm-ups and rules are taken at batch {sizes.large}, {sizes.large // sizes.base} "
                f"times the base, where an epoch has {examples // sizes.large} steps; the paper's are at 8192, 32 "
                "times its base, where it has 156, and which is at its knee. Where ours lies beyond the knee, the "
                "claims on warm-ups and rules say so: there the linear rule itself no longer keeps the error. That a "
                f"larger batch leaves the error alone is tested at {sizes.flat}, where an epoch has "
                f"{examples // sizes.flat} steps, and the rules are compared there too"
                + (", which was declared when the rest had been run." if plan.scale == "laptop" else ".")
            )
    few = [name for name in plan.networks if plan.seeds[name] < MIN_SEEDS]
    if few:
        notes.append(f"With fewer than {MIN_SEEDS} seeds ({', '.join(few)}) a claim is inconclusive by its rule.")
    return notes


STUDY = Study(
    name="goyal",
    title="Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour",
    citation="Goyal, Dollár, Girshick, Noordhuis, Wesolowski, Kyrola, Tulloch, Jia, He. 2017, arXiv:1706.02677",
    networks=_SEEDS,
    absent=_ABSENT,
    data=lambda name, scale: PROBLEMS[scale][name].source,
    artifacts=ARTIFACTS,
    claims=every_claim,
    notes=_notes,
)
