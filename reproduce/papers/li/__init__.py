"""Li et al. 2018, "Visualizing the Loss Landscape of Neural Nets" (1712.09913): small and large batches."""

from bsgap.analysis import MIN_SEEDS
from reproduce.papers.li.artifacts import ARTIFACTS
from reproduce.papers.li.claims import every_claim
from reproduce.papers.li.problems import DECAYS, REFERENCE, SETTINGS, SIZES
from reproduce.study import Plan, Study

_ADAM = "VGG-9-Adam"
_SEEDS = {
    "demo": {REFERENCE: 3},
    "laptop": {REFERENCE: 3},
    "gpu": {REFERENCE: 3, _ADAM: 1},
    "paper": {REFERENCE: 3, _ADAM: 3},
}
_COSTLY = "the pictures are of SGD; the runs with Adam are those of --scale gpu and paper"


def shrinking(scale: str, size: str) -> float:
    """η λ / (1 - m) times the steps of the first half of a training, with η = 0.1 and momentum m = 0.9.

    It is the logarithm of the factor by which weight decay λ would shrink weights that have no gradient.

    >>> round(shrinking("paper", "SB")), round(shrinking("paper", "LB"), 2)
    (29, 0.45)
    """
    setting = SETTINGS[scale][REFERENCE]
    steps = setting.problem.examples // setting.batch(size) * setting.problem.epochs / 2
    return 0.1 / (1 - 0.9) * DECAYS["decayed"] * steps


def _notes(plan: Plan) -> list[str]:
    notes = [
        "Rate, momentum, weight decay and initial weights follow the authors' code, and the rate is the same at both "
        "batch sizes. An epoch drops its last, smaller batch, which the code keeps.",
        "BatchNorm takes its statistics over the whole batch, so a larger batch changes them too. Losses along paths "
        "and surfaces are taken with the running averages, without augmentation.",
        "Norms and histograms are of the weights of convolutional and linear layers; the code's norm holds biases, "
        "gains and shifts too.",
        "The pictures are of the first seed. Every claim rests on all seeds, and a filter-normalised sharpness is a "
        f"mean over {SETTINGS[plan.scale][REFERENCE].directions} directions, which are the same for every solution "
        "before they are normalised.",
        "How sharp a side of a picture is was put into a number before anything ran, as the paper judges by eye; that "
        "losses count up to 5 nats only, the paper's axis, was added after the first demo run, in which running "
        "variances beyond the large-batch solution went below 0. After the runs at laptop scale two rules were made "
        "stricter: correlations are averaged as Fisher's z, and one counts as better from a difference of 0.05 on.",
    ]
    described = [SETTINGS[plan.scale][name].problem.data for name in plan.networks]
    analogues = [text for text in described if "analogue" in text]
    if analogues:
        notes.append(
            f"Analogues of VGG-9 on CIFAR-10: {'; '.join(analogues)}. The large batch has the paper's share of the "
            "data, 16.4 %, and the rate falls at the paper's shares of the training; there is no augmentation."
        )
    if plan.scale != "paper":
        here, paper = ([shrinking(scale, size) for size in SIZES] for scale in (plan.scale, "paper"))
        notes.append(
            "Weight decay acts through rate times steps: until the rate first falls, it alone would shrink weights by "
            f"a factor of exp({here[0]:.2g}) with the small batch and exp({here[1]:.2g}) with the large one; at the "
            f"published protocol by exp({paper[0]:.2g}) and exp({paper[1]:.2g}) (D)."
        )
    few = [name for name in plan.networks if plan.seeds[name] < MIN_SEEDS]
    if few:
        notes.append(f"With fewer than {MIN_SEEDS} seeds ({', '.join(few)}) a claim is inconclusive by its rule.")
    return notes


STUDY = Study(
    name="li",
    title="Visualizing the Loss Landscape of Neural Nets",
    citation="Li, Xu, Taylor, Studer, Goldstein. NeurIPS 2018, arXiv:1712.09913",
    networks=_SEEDS,
    absent={scale: {_ADAM: _COSTLY} for scale in ("demo", "laptop")},
    data=lambda name, scale: SETTINGS[scale][name].problem.source,
    artifacts=ARTIFACTS,
    claims=every_claim,
    notes=_notes,
)
