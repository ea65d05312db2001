"""What ASAM is compared on at each scale: SGD, SAM and ASAM, at grids of rho that span the same factor.

The analogues are those of `reproduce.papers.sam`, with the same recipes, so SGD and SAM are trained once for both.
"""

from reproduce.arms import Problem
from reproduce.papers.sam.problems import (
    DATA,
    GRID,
    HARDER,
    RADII,
    REFERENCE,
    WIDE_RESNET,
    WORDS,
    Setting,
    setting,
)
from reproduce.study import Plan

SCALED = 10
"""ASAM's rho is so many times that of SAM, place by place of the grid: as published, 0.5 and 0.05, 1.0 and 0.1."""


def _adaptive(radii: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(round(SCALED * rho, 6) for rho in radii)


SETTINGS: dict[str, dict[str, Setting]] = {
    "demo": {
        REFERENCE: setting(
            WIDE_RESNET, *WORDS["demo"], "digits", epochs=10, examples=800, seconds=0.12, batch=64,
            radii=RADII["demo"], adaptive=_adaptive(RADII["demo"]), measured=200, pass_seconds=0.02,
        ),
    },
    "laptop": {
        REFERENCE: setting(
            WIDE_RESNET, *WORDS["laptop"], "cifar10", epochs=15, examples=5000, seconds=6.0, batch=128,
            radii=RADII["laptop"], adaptive=_adaptive(RADII["laptop"]),
        ),
    },
    "gpu": {
        REFERENCE: setting(
            WIDE_RESNET, *WORDS["gpu"], "cifar10", epochs=60, examples=45_000, seconds=3.0, batch=128,
            radii=RADII["gpu"], adaptive=_adaptive(RADII["gpu"]), measured=5000,
        ),
    },
    "paper": {
        name: setting(
            recipe, f"WRN-28-10 on {DATA[name]}", f"WRN-28-10 on {DATA[name]}, cropped and mirrored", source,
            epochs=200, examples=45_000, seconds=40.0, batch=128, radii=GRID, adaptive=_adaptive(GRID), measured=5000,
        )
        for name, recipe, source in ((REFERENCE, WIDE_RESNET, "cifar10"), (HARDER, "wrn-cifar100", "cifar100"))
    },
}  # fmt: skip

PROBLEMS: dict[str, dict[str, Problem]] = {
    scale: {name: chosen.problem for name, chosen in settings.items()} for scale, settings in SETTINGS.items()
}
"""Scale -> name of the network -> problem, for `reproduce.arms`."""


def here(plan: Plan, name: str) -> Setting:
    """A network at the plan's scale."""
    return SETTINGS[plan.scale][name]
