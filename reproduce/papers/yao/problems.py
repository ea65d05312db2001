"""What yao trains at each scale: C1 at one learning rate and several batch sizes."""

from dataclasses import dataclass

from reproduce.arms import Arm, Problem

BATCH = "data.init_args.batch_size"


@dataclass(frozen=True)
class Sweep:
    """One network on one data set, trained at several batch sizes, and what is measured on what came of it.

    Attributes:
        problem: One arm a batch size.
        batches: The batch sizes, ascending.
        epsilons: Sizes of the attack, in pixels of [0, 1].
        attack: That of them at which the claim is judged.
        measured: Training examples over which the Hessian is taken; None for all.
        span: Distance up to which the loss is followed along the top eigenvector, either way.
        seconds: Rough duration of a Hessian product on one core.
    """

    problem: Problem
    batches: tuple[int, ...]
    epsilons: tuple[float, ...]
    attack: float
    measured: int | None
    span: float
    seconds: float


def key(batch: int) -> str:
    """Name of an arm: `batch-64`."""
    return f"batch-{batch}"


def _sweep(
    label: str, data: str, source: str, batches: tuple[int, ...], epochs: int, examples: int, seconds: float,
    *, epsilons: tuple[float, ...], attack: float, measured: int | None, span: float, product: float,
) -> Sweep:  # fmt: skip
    arms = tuple(
        Arm(key(batch), f"batch {batch}", () if batch == batches[0] else ((BATCH, batch),), batch=batch)
        for batch in batches
    )
    problem = Problem("c1-cifar10", label, data, source, arms, epochs, examples, seconds)
    return Sweep(problem, batches, epsilons, attack, measured, span, product)


SWEEPS: dict[str, dict[str, Sweep]] = {
    "demo": {
        "C1": _sweep(
            "slim C1 on digits", "C1 at a quarter of its width on 1,000 of the embedded digits (analogue)", "digits",
            (10, 30, 100, 250), 15, 1000, 0.12,
            epsilons=(0.05, 0.1, 0.2), attack=0.1, measured=500, span=0.5, product=0.03,
        ),
    },
    "laptop": {
        "C1": _sweep(
            "slim C1 on CIFAR-10", "C1 at a quarter of its width on 5,000 images of CIFAR-10 (analogue)", "cifar10",
            (16, 64, 256, 512), 24, 5000, 1.7,
            epsilons=(0.005, 0.01, 0.02), attack=0.01, measured=1000, span=0.2, product=1.2,
        ),
    },
    "gpu": {
        "C1": _sweep(
            "C1 on CIFAR-10", "C1 on CIFAR-10", "cifar10", (64, 256, 1024, 4096), 90, 50_000, 2,
            epsilons=(0.005, 0.01, 0.02), attack=0.01, measured=10_000, span=0.2, product=0.5,
        ),
    },
    "paper": {
        "C1": _sweep(
            "C1 on CIFAR-10", "C1 on CIFAR-10", "cifar10", (16, 32, 64, 128, 256, 512, 1024, 2048), 90, 50_000, 200,
            epsilons=(0.005, 0.01, 0.02), attack=0.01, measured=None, span=0.2, product=200,
        ),
    },
}  # fmt: skip

PROBLEMS: dict[str, dict[str, Problem]] = {
    scale: {name: sweep.problem for name, sweep in sweeps.items()} for scale, sweeps in SWEEPS.items()
}
