"""Smith, Kindermans, Ying, Le 2017, "Don't Decay the Learning Rate, Increase the Batch Size"."""

from bsgap.analysis import MIN_SEEDS
from reproduce.papers.smith.artifacts import ARTIFACTS
from reproduce.papers.smith.claims import every_claim
from reproduce.papers.smith.problems import ABSENT, PLAIN_RATE, PROBLEMS, SCHEDULES, SEEDS
from reproduce.study import Plan, Study


def _notes(plan: Plan) -> list[str]:
    chosen = SCHEDULES[plan.scale]
    milestones = ", ".join(map(str, chosen.milestones))
    notes = [
        "The paper's text was not at hand; its settings and numbers are those of others' notes on it. Its milestones, "
        "60, 120 and 160 of 200 epochs, are recalled, and give its numbers of updates in closed form.",
        "The notes leave open the weight decay, here 5e-4, and the augmentation of the published protocol, here crop "
        "and flip; both are usual with wide residual networks.",
        "Where the batch stops short of five times its size because of the maximum, the rate falls by what is left of "
        "the factor.",
        "An epoch drops its last, smaller batch, so that a run takes up to one update an epoch less than in closed "
        "form. BatchNorm takes its statistics over ghost batches of the smallest batch size at every batch size, and "
        "running averages at evaluation.",
        "“Equal” is read as a ratio of training losses between 0.8 and 1.25, averaged over the epochs after the first "
        "milestone, and as less than one point of test accuracy lost.",
    ]
    described = [PROBLEMS[plan.scale][name].data for name in plan.networks]
    analogues = [text for text in described if "analogue" in text]
    if analogues:
        notes.append("Analogues, where network or data are not the paper's: " + "; ".join(analogues) + ".")
    if plan.scale != "paper":
        notes.append(
            f"{chosen.epochs} epochs with milestones at {milestones} stand for 200; batches grow from {chosen.batch} "
            f"to at most {chosen.maximum} of {chosen.examples:,} examples (paper: 128 to 5120 of 50,000)."
        )
    if plan.scale == "laptop":
        notes.append(
            "No augmentation. The rate at the start is 0.02, as the batch is 16: the paper's 0.1 is for 128. The rules "
            "of the claims are older than any run."
        )
    if "WRN-SGD" in plan.networks:
        notes.append(f"Plain SGD starts at a rate of {PLAIN_RATE:g}, Adam at 0.001, which the notes leave open.")
    few = [name for name in plan.networks if plan.seeds[name] < MIN_SEEDS]
    if few:
        notes.append(f"With fewer than {MIN_SEEDS} seeds ({', '.join(few)}) a claim is inconclusive by its rule.")
    return notes


STUDY = Study(
    name="smith",
    title="Don't Decay the Learning Rate, Increase the Batch Size",
    citation="Smith, Kindermans, Ying, Le. ICLR 2018, arXiv:1711.00489",
    networks=SEEDS,
    absent=ABSENT,
    data=lambda name, scale: PROBLEMS[scale][name].source,
    artifacts=ARTIFACTS,
    claims=every_claim,
    notes=_notes,
)
