"""Foret et al. 2021, "Sharpness-Aware Minimization for Efficiently Improving Generalization" (2010.01412): SAM."""

from bsgap.analysis import MIN_SEEDS
from reproduce.papers.sam.artifacts import ARTIFACTS
from reproduce.papers.sam.claims import every_claim
from reproduce.papers.sam.problems import HARDER, PLAIN, SETTINGS, compares
from reproduce.study import Plan, Study

_SEEDS = {"demo": 3, "laptop": 3, "gpu": 3, "paper": 5}
_ABSENT = {
    scale: {HARDER: "one data set is enough for an analogue; use --scale paper"} for scale in ("demo", "laptop", "gpu")
}


def _notes(plan: Plan) -> list[str]:
    notes = [
        "Rate, weight decay, augmentation and grid of rho are the paper's, where a scale does not say otherwise. What "
        "was read of it states neither the momentum, here 0.9, nor how the rate falls, here as a cosine to 0.",
        "rho is chosen on images cut from the training data, as in the paper, by the mean over all seeds. They stay "
        "out of the training of every run.",
        "The perturbation comes from the gradient of the whole batch, where nothing else is said. How many examples "
        "share one in the paper's Table 1 is not known here.",
        "BatchNorm takes its statistics over as many examples in every arm, at most the smallest m, so that m changes "
        "the perturbation alone. An epoch drops its last, smaller batch.",
    ]
    for name in compares(plan):
        here = SETTINGS[plan.scale][name]
        if here.groups:
            notes.append(
                f"{name}: rho of {_listed(here.radii)}; m of {_listed(here.groups)} at rho "
                f"{_listed(here.group_radii)}; batch {here.batch}, {here.problem.epochs} epochs."
            )
    if PLAIN in plan.networks:
        here = SETTINGS[plan.scale][PLAIN]
        notes.append(
            "The paper shows spectra of WRN-40-10 without BatchNorm, which cannot be had here, as its initial weights "
            f"are not known: in its place {here.problem.data}, with SAM at rho {_listed(here.radii)} alone. "
            "With BatchNorm the Hessian is taken with the running averages, and the weights before it "
            "can be scaled, and with them the Hessian, without changing the function."
        )
    if plan.scale == "laptop":
        notes.append(
            "At laptop scale the grid of rho began at 0.05 until its runs had done best there; 0.01 and 0.02, which "
            "are in the grid of the paper, were added then. Before that SAM was behind SGD of as many epochs (not "
            "reproduced) and ended at a smaller eigenvalue (reproduced): verdicts that hold for rho 0.05. m, "
            "first compared at rho 0.05 and 0.2, was compared at 0.01 too when that had been chosen."
        )
    if plan.scale == "demo":
        notes.append("The digits are neither cropped nor mirrored.")
    few = [name for name in plan.networks if plan.seeds[name] < MIN_SEEDS]
    if few:
        notes.append(f"With fewer than {MIN_SEEDS} seeds ({', '.join(few)}) a claim is inconclusive by its rule.")
    return notes


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


STUDY = Study(
    name="sam",
    title="Sharpness-Aware Minimization for Efficiently Improving Generalization",
    citation="Foret, Kleiner, Mobahi, Neyshabur. ICLR 2021, arXiv:2010.01412",
    networks={scale: dict.fromkeys(settings, _SEEDS[scale]) for scale, settings in SETTINGS.items()},
    absent=_ABSENT,
    data=lambda name, scale: SETTINGS[scale][name].problem.source,
    artifacts=ARTIFACTS,
    claims=every_claim,
    notes=_notes,
)
