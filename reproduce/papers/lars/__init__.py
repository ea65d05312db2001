"""You, Gitman, Ginsburg 2017, "Large Batch Training of Convolutional Networks" (1708.03888): LARS."""

from bsgap.analysis import MIN_SEEDS
from reproduce.papers.lars.artifacts import ARTIFACTS
from reproduce.papers.lars.claims import FALL, every_claim
from reproduce.papers.lars.problems import PAIRS, Pair
from reproduce.papers.lars.trials import pair
from reproduce.study import Plan, Study

_SEEDS = {scale: dict.fromkeys(pairs, 3) for scale, pairs in PAIRS.items()}
_ABSENT = {
    "demo": {"ResNet-50": "ImageNet is beyond seconds; AlexNet runs on the embedded digits"},
    "laptop": {"ResNet-50": "ImageNet is beyond two cores; use --scale paper"},
    "gpu": {"ResNet-50": "ImageNet exceeds the budget; use --scale paper"},
}


def _notes(plan: Plan) -> list[str]:
    notes = [
        "No copy of the paper was at hand: its numbers and its formula are second hand (N), and its rates, warm-up and "
        "weight decay were not to be had. Chosen here: momentum 0.9, weight decay 5e-4 for AlexNet (1e-4 for "
        "ResNet-50) with both methods, a trust coefficient of 0.001 (N), polynomial decay of power 2.",
        "A base rate is chosen for each method, and the linear rule carries it to the other batch sizes, so “without "
        "LARS” is the naive scaling that the paper sets out to mend.",
        "Biases and the gains of BatchNorm have layer-wise rates too, chosen after some runs on the digits: left to "
        "plain SGD at the global rate they do not bear what the linear rule makes of it, and LARS ended at chance at "
        "the largest batch size.",
        "“Keeps the accuracy” means: loses less than "
        f"{FALL:g} points against the base batch size without LARS, which is the paper's baseline too.",
        "A run that diverged has no accuracy: figures and tables mark it. In the claims it counts as one that answers "
        "at random, as that is what the claims are about.",
        "BatchNorm takes its statistics over micro-batches of one size at every batch size, so that the batch size "
        "changes the gradient alone. An epoch drops its last, smaller batch.",
    ]
    for name in plan.networks:
        chosen = pair(plan, name)
        notes.append(
            f"The claims on accuracy are judged at {name}'s largest batch size, {_steps(chosen, -1)}; at the base, "
            f"{_steps(chosen, 0)}. Where so few updates are too few for either method, their verdicts say little of "
            "LARS: the table has every batch size."
        )
    analogues = [pair(plan, name).plain.data for name in plan.networks if "analogue" in pair(plan, name).plain.data]
    if analogues:
        notes.append(
            "Analogues of AlexNet-BN on ImageNet: "
            + "; ".join(analogues)
            + ". The output follows the last convolution "
            "directly, so they have no fc6. The whole ImageNet recipes are those of --scale paper."
        )
    if plan.scale == "demo":
        notes.append(
            "No augmentation. The base rates, too, were chosen after some runs on the digits had been seen; the "
            "warm-up takes 1 of 12 epochs."
        )
    if plan.scale == "laptop":
        notes.append(
            "No augmentation. The base rates were chosen at the base batch size, with one seed, on images cut from the "
            "training data, from a small grid; the warm-up takes 1 of 12 epochs."
        )
    few = [name for name in plan.networks if plan.seeds[name] < MIN_SEEDS]
    if few:
        notes.append(f"With fewer than {MIN_SEEDS} seeds ({', '.join(few)}) a claim is inconclusive by its rule.")
    return notes


def _steps(chosen: Pair, place: int) -> str:
    """A batch size of a problem and the steps that it leaves."""
    batch = chosen.batches[place]
    return f"{batch}, {chosen.steps(batch)} steps an epoch and {chosen.updates(batch)} updates in all"


STUDY = Study(
    name="lars",
    title="Large Batch Training of Convolutional Networks",
    citation="You, Gitman, Ginsburg. 2017, arXiv:1708.03888",
    networks=_SEEDS,
    absent=_ABSENT,
    data=lambda name, scale: PAIRS[scale][name].plain.source,
    artifacts=ARTIFACTS,
    claims=every_claim,
    notes=_notes,
)
