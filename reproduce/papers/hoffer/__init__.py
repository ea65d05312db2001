"""Hoffer, Hubara, Soudry 2017, "Train longer, generalize better" (1705.08741)."""

from bsgap.analysis import MIN_SEEDS
from reproduce.papers.hoffer.artifacts import ARTIFACTS
from reproduce.papers.hoffer.claims import every_claim
from reproduce.papers.hoffer.facts import ISSUE
from reproduce.papers.hoffer.problems import ABSENT, LB, MAIN, PROBLEMS, SB, SEEDS, SIZES, initial_phase
from reproduce.study import Plan, Study


def _notes(plan: Plan) -> list[str]:
    sizes = SIZES[plan.scale]
    notes = [
        "The paper's text was not at hand; its claims and numbers are those of others' notes on it, its protocol that "
        "of the authors' code (bigBatch). Cells of its Table 1 that could not be checked are not printed.",
        f"The small batch is {sizes.small}, the large one {sizes.large}. In the paper they are, as recalled, 128 and "
        "4096; the code's defaults are 2048, and 128 for a ghost batch.",
        "The rate grows as the paper has it, with the root of the ratio of large to small batch. In the code it is the "
        "root of the batch over 256 in one script and over the size of a ghost batch in the other, and the regime is "
        "stretched by those ratios, rounded up.",
        "Each change is added to those before it. The code's own experiments adapt the regime in the script that has "
        "no ghost batches.",
        "The code passes ghost batches one after the other and updates the running averages with each; here they go "
        "through the network together and update them once. Gradients are the same. They are clipped to a norm of 5 at "
        "every batch size, as in the code.",
        "The code drops no smaller batch at the end of an epoch, pads crops with grey, and normalises with ImageNet's "
        "statistics; here that batch is dropped, so that every step is one of as many examples, padding is black, and "
        "statistics are those of the data.",
        "The accuracy is that of the last epoch. The code validates on the test images after every epoch and keeps "
        "the best; whether the paper prints that one is not known.",
        "The code logs the distance of the first weight tensor only, once an epoch; here it is that of the whole "
        "weight vector, on a logarithmic grid of steps, as the paper's claim is on the weights.",
        f"An issue on the authors' code (bigBatch, no. 3) reports {ISSUE[0]:g} % for ghost batches where, as it says, "
        f"the paper has {ISSUE[1]:g} %. Verdicts here are on signs and sizes of effects, not on that number.",
    ]
    if "F1" in plan.networks and plan.scale != "demo":
        notes.append(
            "For F1 the code pads digits to 32×32 pixels, crops 28×28 of them at random and mirrors every second one, "
            "which makes most of them no digits. Here digits are left as they are, so accuracies are not comparable to "
            "the tenth of a point."
        )
    if {"C1", "C3"} & set(plan.networks):
        notes.append(
            "C1 and C3 are those of Keskar's code: in Hoffer's, pools come before BatchNorm, maps are 7×7 instead of "
            "8×8, and layers before BatchNorm have no biases. Their rate rises tenfold before it falls, and they have "
            "no momentum, as in the code."
        )
    if "VGG" in plan.networks:
        notes.append(
            "The code has no VGG: here it is VGG16 with BatchNorm, in the regime of ResNet-44. WRN-16-4 is that of "
            "Zagoruyko and Komodakis; the code's has activations after the convolutions, and 64 channels at first."
        )
    described = [PROBLEMS[plan.scale][name].data for name in plan.networks]
    if analogues := [text for text in described if "analogue" in text]:
        notes.append("Analogues, where network or data are not the paper's: " + "; ".join(analogues) + ".")
    if plan.scale != "paper":
        notes.append(
            f"The ratio of the batch sizes is {sizes.ratio} instead of 32, as the adapted regime takes that many times "
            "the epochs. Epochs and milestones are shortened alike."
        )
    if plan.scale in ("demo", "laptop"):
        notes.append(
            "No augmentation. Ten epochs may leave a network far from fitted, so part of a gap in test accuracy may be "
            "one in training error: the table of stages has both."
        )
    if MAIN in plan.networks:
        notes.append(
            "Of the walk these things are chosen here. It is fitted from step 10 on, the time that a momentum of 0.9 "
            "remembers, and every batch size over all of its steps at the initial rate; the table has the slopes over "
            "the steps that all of them take, too. Over few steps a root of time is nearly a logarithm (R² of 0.97 at "
            "laptop scale), so an R² of 0.99 is asked for, and a power law with as many parameters is the rival."
        )
        if plan.scale != "paper":
            steps = {key: initial_phase(plan.scale, MAIN, key)[1] for key in (SB, LB)}
            notes.append(
                f"Here the initial rate lasts for {steps[SB]:,} updates of the small batch and {steps[LB]:,} of the "
                f"large one, at the paper's scale for {initial_phase('paper', MAIN, SB)[1]:,} and "
                f"{initial_phase('paper', MAIN, LB)[1]:,}. What is fitted here is the beginning of that walk, in which "
                "the loss still falls fast."
            )
    if few := [name for name in plan.networks if plan.seeds[name] < MIN_SEEDS]:
        notes.append(f"With fewer than {MIN_SEEDS} seeds ({', '.join(few)}) a claim is inconclusive by its rule.")
    return notes


STUDY = Study(
    name="hoffer",
    title="Train longer, generalize better: closing the generalization gap in large batch training of neural networks",
    citation="Hoffer, Hubara, Soudry. NeurIPS 2017, arXiv:1705.08741",
    networks=SEEDS,
    absent=ABSENT,
    data=lambda name, scale: PROBLEMS[scale][name].source,
    artifacts=ARTIFACTS,
    claims=every_claim,
    notes=_notes,
)
