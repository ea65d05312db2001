"""Yao et al. 2018, "Hessian-based Analysis of Large Batch Training and Robustness to Adversaries" (1802.08241)."""

from bsgap.analysis import MIN_SEEDS
from reproduce.papers.yao.artifacts import ARTIFACTS
from reproduce.papers.yao.claims import GROWTH, LESS, SADDLE, every_claim
from reproduce.papers.yao.problems import SWEEPS
from reproduce.papers.yao.trials import TOLERANCE, sweep
from reproduce.study import Plan, Study

_SEEDS = {scale: dict.fromkeys(sweeps, 3) for scale, sweeps in SWEEPS.items()}
_ABSENT: dict[str, dict[str, str]] = {scale: {} for scale in SWEEPS}


def _notes(plan: Plan) -> list[str]:
    chosen = [sweep(plan, name) for name in plan.networks]
    notes = [
        "No copy of the paper was at hand: what it claims is recalled, none of its numbers is printed, and the batch "
        "sizes are chosen here. Network, rate and decay are those of code that the authors published with a later one.",
        "The learning rate is one for all batch sizes and the epochs are the same, so a large batch takes fewer steps "
        "and ends at a higher training loss. Curvature depends on that loss, which the reading at matched loss sets "
        "apart. The loss is looked at a few times an epoch, so a run can be well below a level when it is first seen "
        "there: of the levels that all runs passed it is that at which their losses lie closest, and the "
        "figure states their range. Until a review of the laptop runs it was the lowest level.",
        "BatchNorm has the running averages of training in every measure, so the Hessian does not see that a step "
        "changes them.",
        f"Eigenvalues come with a relative residual of at most {TOLERANCE:g}, where a measure does not say otherwise; "
        "the paper's power iteration has no such bound.",
        f"“Grows” means: by a factor of more than {GROWTH:g}. “No saddle” means: the most negative eigenvalue is less "
        f"than {SADDLE:g} of the largest in size. “Less robust” means: more than {LESS:g} points.",
    ]
    samples = [f"{each.measured:,} ({each.problem.label})" for each in chosen if each.measured]
    if samples:
        notes.append(f"The Hessian is that of the loss over a fixed sample of training examples: {', '.join(samples)}.")
    analogues = [each.problem.data for each in chosen if "analogue" in each.problem.data]
    if analogues:
        notes.append("Analogues, where network or data are not the paper's: " + "; ".join(analogues) + ".")
    few = [name for name in plan.networks if plan.seeds[name] < MIN_SEEDS]
    if few:
        notes.append(f"With fewer than {MIN_SEEDS} seeds ({', '.join(few)}) a claim is inconclusive by its rule.")
    return notes


STUDY = Study(
    name="yao",
    title="Hessian-based Analysis of Large Batch Training and Robustness to Adversaries",
    citation="Yao, Gholami, Lei, Keutzer, Mahoney. NeurIPS 2018, arXiv:1802.08241",
    networks=_SEEDS,
    absent=_ABSENT,
    data=lambda name, scale: SWEEPS[scale][name].problem.source,
    artifacts=ARTIFACTS,
    claims=every_claim,
    notes=_notes,
)
