"""Kwon et al. 2021, "ASAM: Adaptive Sharpness-Aware Minimization for Scale-Invariant Learning" (2102.11600)."""

from bsgap.analysis import MIN_SEEDS
from reproduce.papers.asam.artifacts import ARTIFACTS
from reproduce.papers.asam.claims import every_claim
from reproduce.papers.asam.problems import SETTINGS, here
from reproduce.papers.sam.problems import HARDER
from reproduce.study import Plan, Study

_SEEDS = {"demo": 3, "laptop": 3, "gpu": 3, "paper": 5}
_ABSENT = {
    scale: {HARDER: "one data set is enough for an analogue; use --scale paper"} for scale in ("demo", "laptop", "gpu")
}


def _notes(plan: Plan) -> list[str]:
    notes = [
        "Where a scale does not say otherwise, rate, momentum, weight decay, epochs, augmentation and eta 0.01 follow "
        "the authors' code, whose example with these radii sets eta to 0. Its label smoothing of 0.1 is left out: the "
        "loss is the cross-entropy, here and in all studies beside this one.",
        "The code scales the perturbation of all parameters that are named weight, the gains of BatchNorm among them; "
        "here it is tensors of more than one dimension, that is, the weights of convolutional and linear layers.",
        "rho is chosen on images cut from the training data, by the mean over all seeds. The grid of ASAM has ten "
        "times the values of that of SAM, the ratio of the published settings, so both span the same factor.",
        "The perturbation comes from the gradient of the whole batch. An epoch drops its last, smaller batch.",
        "No copy of the paper's tables was at hand that could be relied on, so no number is reported beside ours.",
    ]
    for name in plan.networks:
        chosen = here(plan, name)
        grids = (", ".join(f"{rho:g}" for rho in radii) for radii in (chosen.radii, chosen.adaptive))
        notes.append(
            "{}: rho of {} for SAM and {} for ASAM; batch {}, {} epochs.".format(
                name, *grids, chosen.batch, chosen.problem.epochs
            )
        )
    if plan.scale != "paper":
        notes.append(
            "BatchNorm takes its statistics over a part of the batch, as in the study of SAM, whose runs these are."
        )
    if plan.scale == "laptop":
        notes.append(
            "At laptop scale the grids began at 0.05 and 0.5 until the runs of them had done best there; what is below "
            "was added then. Before that ASAM was behind SGD (not reproduced) and ended where the adaptive sharpness "
            "is lower (reproduced): verdicts that hold for rho 0.5."
        )
    if plan.scale == "demo":
        notes.append("The digits are neither cropped nor mirrored.")
    few = [name for name in plan.networks if plan.seeds[name] < MIN_SEEDS]
    if few:
        notes.append(f"With fewer than {MIN_SEEDS} seeds ({', '.join(few)}) a claim is inconclusive by its rule.")
    return notes


STUDY = Study(
    name="asam",
    title="ASAM: Adaptive Sharpness-Aware Minimization for Scale-Invariant Learning of Deep Neural Networks",
    citation="Kwon, Kim, Park, Choi. ICML 2021, arXiv:2102.11600",
    networks={scale: dict.fromkeys(settings, _SEEDS[scale]) for scale, settings in SETTINGS.items()},
    absent=_ABSENT,
    data=lambda name, scale: SETTINGS[scale][name].problem.source,
    artifacts=ARTIFACTS,
    claims=every_claim,
    notes=_notes,
)
