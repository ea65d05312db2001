"""Surlemont, Javadi Farahzadi, Stähle, "Large batch sizes for Deep Learning": the accompanying study's plan."""

from bsgap.analysis import MIN_SEEDS
from reproduce.papers.surlemont.artifacts import ARTIFACTS
from reproduce.papers.surlemont.choice import LAST
from reproduce.papers.surlemont.claims import every_claim
from reproduce.papers.surlemont.controls import LONGER
from reproduce.papers.surlemont.problems import ASAM, PROBLEMS, SAM, Problem, problem
from reproduce.study import Plan, Study

SEEDS = {"demo": 3, "laptop": 5, "gpu": 3, "paper": 5}


def _grid(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in sorted(values))


def _beyond(known: Problem) -> str:
    return f"; beyond an end that does best, {known.further} more by the grid's factor" * (known.further > 0)


def _notes(plan: Plan) -> list[str]:
    first = problem(plan, plan.networks[0])
    rates = "; ".join(f"{name} {_grid(problem(plan, name).rates)}" for name in plan.networks)
    notes = [
        "The study is a plan without results or a protocol, so network, batch sizes, grids and budget are ours: "
        f"{first.data}, without augmentation, a constant rate, until the loss on a fixed training sample has not "
        f"fallen by 1 % in some epochs, or {first.epochs} epochs.",
        f"The grid of rates: {rates}{_beyond(first)}. The rate is chosen first, with rho {first.radii[SAM][0]:g} for "
        f"SAM and {first.radii[ASAM][0]:g} for ASAM, then rho of {_grid(first.radii[SAM])} and "
        f"{_grid(first.radii[ASAM])}; one seed, the whole budget, by the validation accuracy, its mean over the last "
        f"{LAST} evaluations. No test example has a say. SAM and ASAM so have {len(first.radii[SAM]) - 1} settings "
        "more to choose from than the plain optimizer.",
        "The perturbation of SAM comes from the gradient of the whole batch. BatchNorm takes its statistics over "
        "micro-batches of one size at every batch size, so that the batch size changes the gradient alone. An epoch "
        "drops its last, smaller batch.",
        "Weight decay is 5e-4 with SGD (momentum 0.9) and 0 with Adam. With BatchNorm the weights before it can be "
        "scaled without changing the function, which changes the box, the ball and the Hessian: the adaptive ball "
        "depends on that scale the least.",
        "Rules were declared before anything was measured, but for these: at laptop scale the largest batch was "
        "2048 until the first run of it, at the lowest rate, had learned little in its 40 updates, and 1024 took its "
        "place; the adaptive ball was added to what is judged when training had begun, before any sharpness was "
        "measured; rates beyond an end of the grid were allowed when SAM with SGD had done best at the lowest rate of "
        "the smallest batch and at the highest of the largest; and accuracies, to choose by and to compare, were those "
        "of the last epoch until half of the runs with SGD showed how much one epoch differs from the next at a "
        "constant rate (1.7 points, the median over runs), which had decided some of the choices. The loss levels at "
        "which weights are kept began at 1 nat, which the largest batch does not reach in this budget. The power "
        "of the batch, of candidates of one seed, could not be decided by its first rule, over seeds: it has an "
        "interval over batch sizes, bounds left out, and no verdict. When three seeds of SGD had shown SAM and ASAM "
        "flatter at small batch sizes and not at the large one, flatness came to be judged at every batch size; as "
        "the large batch was found to have learned less and not to have overfitted more, its gap is also looked at as "
        "training minus test accuracy, and at equal training loss.",
        "Two controls, at laptop scale of three seeds first and then of five, were declared when all final runs with "
        "SGD were known: where SAM or ASAM takes another rate than the plain optimizer, plain training at that rate, "
        "of which the first seed may be a candidate whose accuracy was known, but no sharpness; and, before any run of "
        f"it, as nearly all runs end by the budget, training of the smallest and the largest batch for up to {LONGER} "
        "times as many epochs, or until the loss ceases to fall.",
        f"Sharpness is that of {first.measured:,} training examples.",
        "The accuracy at equal training loss is that of one evaluation, between two of which a straight line is drawn. "
        f"That at equal gradients was the mean of {LAST} evaluations, which are twice as many passes for SAM, until "
        f"that was noticed: it is now that of the evaluations of the last {LAST} passes. And “by every measure” was "
        "judged by the measure whose interval reaches highest, until one wholly above 1 was seen to refute it as well.",
        "The questions of the plan are judged like claims; no number is reported anywhere to stand beside ours.",
    ]
    few = [name for name in plan.networks if plan.seeds[name] < MIN_SEEDS]
    if few:
        notes.append(f"With fewer than {MIN_SEEDS} seeds ({', '.join(few)}) a claim is inconclusive by its rule.")
    return notes


STUDY = Study(
    name="surlemont",
    title="Large batch sizes for Deep Learning",
    citation="Surlemont, Javadi Farahzadi, Stähle. University of Vienna, a plan without results",
    networks={scale: dict.fromkeys(problems, SEEDS[scale]) for scale, problems in PROBLEMS.items()},
    absent={},
    data=lambda name, scale: PROBLEMS[scale][name].source,
    artifacts=ARTIFACTS,
    claims=every_claim,
    notes=_notes,
)
