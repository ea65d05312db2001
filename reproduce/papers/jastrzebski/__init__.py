"""Jastrzebski et al. 2017, "Three Factors Influencing Minima in SGD" (1711.04623)."""

from bsgap.analysis import MIN_SEEDS
from reproduce.papers.jastrzebski.artifacts import ARTIFACTS
from reproduce.papers.jastrzebski.claims import ALIKE, POINTS, every_claim
from reproduce.papers.jastrzebski.problems import GRIDS, RESNET, VGG
from reproduce.papers.jastrzebski.trials import grid
from reproduce.study import Plan, Study

_SEEDS = {scale: dict.fromkeys(grids, 3) for scale, grids in GRIDS.items()}
_STANDS_IN = "convolutional networks are beyond the budget of this scale, where the MLP stands in for Fig. {}"
_ABSENT = {
    scale: {RESNET: _STANDS_IN.format(2), VGG: _STANDS_IN.format(3)} if scale in ("demo", "laptop") else {}
    for scale in GRIDS
}


def _notes(plan: Plan) -> list[str]:
    chosen = [grid(plan, name) for name in plan.networks]
    notes = [
        "The ICLR version's Sections 3 to 4.2 were read. Width, initialisation, budget and normalisation of its "
        "networks could not be had and are chosen here: He's initialisation, plain SGD without momentum or weight "
        "decay, one rate from the first to the last step.",
        "“Until the loss no longer improves” is read as: no fall by 1 % on a fixed sample of training examples for a "
        "stated number of epochs, or the budget ends. All pairs have the same budget in epochs, as runs of one ratio "
        "should go through the same states epoch by epoch.",
        "A small ratio ends at another training loss than a large one, and the curvature of cross-entropy depends on "
        "that loss. The reading at matched loss sets it apart: of the levels that all runs passed, that at "
        "which their losses, looked at once an epoch, lie closest. Until a review of the laptop runs it was the "
        "lowest.",
        "The paper's validation accuracy is that on the test examples here; nothing is chosen on them.",
        f"“Equal” means: the whole interval over seeds within a factor of {ALIKE:g} (norm) or {POINTS:g} points "
        "(accuracy), between the smallest and the largest batch of one ratio.",
    ]
    samples = ", ".join(f"{each.measured:,} ({each.problem.label})" for each in chosen)
    notes.append(f"The Hessian is that of the loss over a fixed sample of training examples: {samples}.")
    analogues = [each.problem.data for each in chosen if "analogue" in each.problem.data]
    if analogues:
        notes.append("Analogues, where network or data are not the paper's: " + "; ".join(analogues) + ".")
    if any((0.025, 12) in each.equal for each in chosen):
        notes.append("A quarter of batch 50 is 12.5; with 12 that pair's ratio is 4 % above the others'.")
    few = [name for name in plan.networks if plan.seeds[name] < MIN_SEEDS]
    if few:
        notes.append(f"With fewer than {MIN_SEEDS} seeds ({', '.join(few)}) a claim is inconclusive by its rule.")
    return notes


STUDY = Study(
    name="jastrzebski",
    title="Three Factors Influencing Minima in SGD",
    citation="Jastrzebski, Kenton, Arpit, Ballas, Fischer, Bengio, Storkey. 2017, arXiv:1711.04623",
    networks=_SEEDS,
    absent=_ABSENT,
    data=lambda name, scale: GRIDS[scale][name].problem.source,
    artifacts=ARTIFACTS,
    claims=every_claim,
    notes=_notes,
)
