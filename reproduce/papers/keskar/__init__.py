"""Keskar et al. 2017, "On Large-Batch Training for Deep Learning: Generalization Gap and Sharp Minima" (1609.04836)."""

from reproduce.papers.keskar.artifacts import ARTIFACTS
from reproduce.papers.keskar.claims import GAP_SEEDS, every_claim
from reproduce.papers.keskar.trials import SETTINGS
from reproduce.study import Plan, Study

_DATA = {"F1": "mnist", "F2": "timit", "C1": "cifar10", "C2": "cifar10", "C3": "cifar100", "C4": "cifar100"}
_ANALOGUE = "the demo scale runs F1 and a small convolutional network on the embedded digits only"
_COSTLY = "an epoch takes minutes on two cores; use --scale gpu"

# Seeds by network. The accuracy gap needs five for a verdict.
_SEEDS = {
    "demo": {"small": 5, "F1": 5},
    "laptop": {"F1": 5, "C1": 3},
    "gpu": {"F1": 5, "C1": 5, "C2": 3, "C3": 5, "C4": 3},
    "paper": {"F1": 5, "F2": 5, "C1": 5, "C2": 5, "C3": 5, "C4": 5},
}
_ABSENT = {
    "demo": dict.fromkeys(("F2", "C1", "C2", "C3", "C4"), _ANALOGUE),
    "laptop": {
        "F2": "TIMIT is licensed and its 721,329 frames exceed the budget; use --scale paper",
        **dict.fromkeys(("C2", "C3", "C4"), _COSTLY),
    },
    "gpu": {"F2": "TIMIT is licensed; use --scale paper"},
}


def _data(network: str, scale: str) -> str:
    return "digits" if scale == "demo" else _DATA[network]


def _notes(plan: Plan) -> list[str]:
    notes = [
        "Networks follow the authors' code where it differs from the paper: C1 and C3 pool with stride 2 instead of "
        "convolving with it.",
        "BatchNorm statistics are those of each evaluation batch, as in the authors' code, whose BatchNorm has no "
        "running averages.",
        "“Until the loss ceases to improve” is read as: no fall by 1 % of the loss on a fixed sample of training "
        "examples for a stated number of epochs, or the budget ends.",
    ]
    described = [SETTINGS[plan.scale][name].data for name in plan.networks]
    analogues = [text for text in described if "analogue" in text]
    if analogues:
        notes.append("Analogues, where network or data are not the paper's: " + "; ".join(analogues) + ".")
    samples = {name: SETTINGS[plan.scale][name].examples for name in plan.networks}
    if any(samples.values()):
        parts = [f"{name} {count:,}" for name, count in samples.items() if count]
        notes.append(
            "Sharpness, and the training loss along paths, are taken over a fixed sample of the training examples, in "
            f"which each class has its share, not over all of them: {', '.join(parts)}."
        )
    notes.append(
        "The weights of a loss level are those of the first evaluation at or below it, so the losses of a matched pair "
        "still differ, by up to a factor of about two; the data of Fig. 6 give them."
    )
    if plan.scale in ("laptop", "gpu"):
        notes.append("Training may run in bf16 mixed precision (see the recipes); everything evaluated is float32.")
    few = [name for name in plan.networks if plan.seeds[name] < GAP_SEEDS]
    if few:
        notes.append(
            f"The accuracy gap needs {GAP_SEEDS} seeds; with fewer ({', '.join(few)}) it is inconclusive by its rule."
        )
    if plan.scale == "laptop" and "C1" in plan.networks:
        notes.append(
            "C1's subset of 5,000 images keeps the paper's number of steps an epoch (about 195 for the small batch, 10 "
            "for the large one), so its batches are 26 and 500."
        )
    return notes


STUDY = Study(
    name="keskar",
    title="On Large-Batch Training for Deep Learning: Generalization Gap and Sharp Minima",
    citation="Keskar, Mudigere, Nocedal, Smelyanskiy, Tang. ICLR 2017, arXiv:1609.04836",
    networks=_SEEDS,
    absent=_ABSENT,
    data=_data,
    artifacts=ARTIFACTS,
    claims=every_claim,
    notes=_notes,
)
