"""What SAM and ASAM are compared on at each scale: SGD, SGD for twice the epochs, and SAM at several rho and m."""

from collections.abc import Mapping
from dataclasses import dataclass

from reproduce.arms import Arm, Problem
from reproduce.study import Plan

SGD, LONG = "sgd", "sgd-long"
REFERENCE, HARDER, PLAIN = "WRN-28-10", "WRN-28-10-CIFAR-100", "no-BatchNorm"
"""Networks of the study: the paper's on two data sets, and the one without BatchNorm, of which it shows spectra."""
DATA = {REFERENCE: "CIFAR-10", HARDER: "CIFAR-100"}
"""Network -> the paper's data set."""

_MODEL = "model.init_args"
RADIUS, ADAPTIVE = f"{_MODEL}.optimizer.init_args.rho", f"{_MODEL}.optimizer.init_args.adaptive"
GROUP, STEPS, EPOCHS = f"{_MODEL}.sharpness_batch", f"{_MODEL}.schedule.init_args.T_max", "trainer.max_epochs"


@dataclass(frozen=True)
class Setting:
    """One network on one data set at one scale.

    Attributes:
        problem: Recipe, words and arms.
        batch: Examples of a step.
        radii: The rho of SAM, ascending; its perturbation comes from the whole batch.
        groups: The m of m-sharpness below the batch size, ascending.
        group_radii: The rho at which these are trained, some of `radii`.
        adaptive: The rho of ASAM, ascending; empty where it is not trained.
        measured: Training examples over which curvature and sharpness are taken.
        pass_seconds: Rough duration of a pass with gradient over them, in float32 on one core.
    """

    problem: Problem
    batch: int
    radii: tuple[float, ...]
    groups: tuple[int, ...] = ()
    group_radii: tuple[float, ...] = ()
    adaptive: tuple[float, ...] = ()
    measured: int = 500
    pass_seconds: float = 0.7

    def keys(self, group: int | None = None) -> tuple[str, ...]:
        """The arms of SAM, by ascending rho: those of the whole batch, or of an m below it."""
        return tuple(sam_key(rho, group) for rho in (self.radii if group is None else self.group_radii))

    @property
    def adaptive_keys(self) -> tuple[str, ...]:
        """The arms of ASAM, by ascending rho."""
        return tuple(asam_key(rho) for rho in self.adaptive)


Settings = Mapping[str, Mapping[str, Setting]]
"""Scale -> name of the network (as `--network` takes it) -> setting."""


def sam_key(rho: float, group: int | None = None) -> str:
    """Name of an arm of SAM.

    >>> sam_key(0.05), sam_key(0.05, 16)
    ('sam-0.05', 'sam-0.05-m16')
    """
    return f"sam-{rho:g}" + (f"-m{group}" if group is not None else "")


def asam_key(rho: float) -> str:
    """Name of an arm of ASAM.

    >>> asam_key(0.5)
    'asam-0.5'
    """
    return f"asam-{rho:g}"


def radius(key: str) -> float:
    """The rho of an arm.

    >>> radius("sam-0.05-m16"), radius("sgd")
    (0.05, 0.0)
    """
    return 0.0 if key in (SGD, LONG) else float(key.split("-")[1])


def setting(
    recipe: str, label: str, data: str, source: str, *, epochs: int, examples: int, seconds: float, batch: int,
    radii: tuple[float, ...], groups: tuple[int, ...] = (), group_radii: tuple[float, ...] = (),
    adaptive: tuple[float, ...] = (), longer: bool = False, measured: int = 500, pass_seconds: float = 0.7,
    statistics: str = "running",
) -> Setting:  # fmt: skip
    """A setting and its arms.

    Args:
        recipe: Recipe under `configs/<paper>/`, which trains SGD.
        label: What a panel's title calls it.
        data: Network and data in words.
        source: Name of the data set.
        epochs: Epochs of a run.
        examples: Training examples in an epoch.
        seconds: Rough duration of an epoch of SGD on one core.
        batch: As in `Setting`, like what follows.
        radii: Of SAM.
        groups: Of m-sharpness.
        group_radii: Of m-sharpness.
        adaptive: Of ASAM.
        longer: Whether SGD is trained for twice the epochs too.
        measured: Examples.
        pass_seconds: Over them.
        statistics: Source of the BatchNorm statistics of evaluations; empty without BatchNorm.
    """
    arms = [Arm(SGD, "SGD")]
    if longer:
        double = ((EPOCHS, 2 * epochs), (STEPS, 2 * epochs * (examples // batch)))
        arms.append(Arm(LONG, "SGD, twice the epochs", double, 2.0))
    arms += [Arm(sam_key(rho), f"SAM, rho {rho:g}", ((RADIUS, rho),), 2.0) for rho in radii]
    arms += [
        Arm(sam_key(rho, m), f"SAM, rho {rho:g}, m {m}", ((RADIUS, rho), (GROUP, m)), 2.0)
        for m in groups
        for rho in group_radii
    ]
    arms += [Arm(asam_key(rho), f"ASAM, rho {rho:g}", ((RADIUS, rho), (ADAPTIVE, True)), 2.0) for rho in adaptive]
    problem = Problem(recipe, label, data, source, tuple(arms), epochs, examples, seconds, statistics)
    return Setting(problem, batch, radii, groups, group_radii, adaptive, measured, pass_seconds)


GRID = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""The paper's grid of rho."""
WIDE_RESNET = "wrn-cifar10"
WORDS = {
    "demo": ("SmallConvNet on digits", "a small convolutional network on 800 of the embedded digits (analogue)"),
    "laptop": ("ResNet-8 on CIFAR-10", "ResNet-8 on 5,000 images of CIFAR-10, cropped and mirrored (analogue)"),
    "gpu": ("ResNet-20 on CIFAR-10", "ResNet-20 on CIFAR-10, cropped and mirrored (analogue)"),
}
"""Scale -> label and words of the analogue of WRN-28-10, which SAM and ASAM share."""
RADII = {"demo": (0.05, 0.1, 0.2), "laptop": GRID, "gpu": (0.05, 0.1, 0.2, 0.5)}
"""Scale -> rho of SAM on it."""

SETTINGS: Settings = {
    "demo": {
        REFERENCE: setting(
            WIDE_RESNET, *WORDS["demo"], "digits", epochs=10, examples=800, seconds=0.12, batch=64,
            radii=RADII["demo"], groups=(8, 16), group_radii=(0.1,), longer=True, measured=200, pass_seconds=0.02,
        ),
        PLAIN: setting(
            "plain-cifar10", "MLP on digits, no BatchNorm",
            "a fully connected network of 4 layers without BatchNorm on 800 of the embedded digits (analogue)",
            "digits", epochs=10, examples=800, seconds=0.08, batch=64, radii=(0.1,), measured=200, pass_seconds=0.01,
            statistics="",
        ),
    },
    "laptop": {
        REFERENCE: setting(
            WIDE_RESNET, *WORDS["laptop"], "cifar10", epochs=15, examples=5000, seconds=6.0, batch=128,
            radii=RADII["laptop"], groups=(16, 32), group_radii=(0.01, 0.05, 0.2), longer=True,
        ),
        PLAIN: setting(
            "plain-cifar10", "MLP on CIFAR-10, no BatchNorm",
            "a fully connected network of 4 layers without BatchNorm on 5,000 images of CIFAR-10 (analogue)",
            "cifar10", epochs=20, examples=5000, seconds=1.5, batch=64, radii=(0.1,), pass_seconds=0.1, statistics="",
        ),
    },
    "gpu": {
        REFERENCE: setting(
            WIDE_RESNET, *WORDS["gpu"], "cifar10", epochs=60, examples=45_000, seconds=3.0, batch=128,
            radii=RADII["gpu"], groups=(32, 64), group_radii=(0.05, 0.2), longer=True, measured=5000,
        ),
        PLAIN: setting(
            "plain-cifar10", "VGG-16 on CIFAR-10, no BatchNorm",
            "VGG-16 without BatchNorm on CIFAR-10, cropped and mirrored (analogue)", "cifar10", epochs=60,
            examples=45_000, seconds=4.0, batch=256, radii=(0.05,), measured=5000, statistics="",
        ),
    },
    "paper": {
        REFERENCE: setting(
            WIDE_RESNET, "WRN-28-10 on CIFAR-10", "WRN-28-10 on CIFAR-10, cropped and mirrored", "cifar10", epochs=200,
            examples=45_000, seconds=40.0, batch=256, radii=GRID, groups=(32, 64, 128), group_radii=GRID, longer=True,
            measured=5000,
        ),
        HARDER: setting(
            "wrn-cifar100", "WRN-28-10 on CIFAR-100", "WRN-28-10 on CIFAR-100, cropped and mirrored", "cifar100",
            epochs=200, examples=45_000, seconds=40.0, batch=256, radii=GRID, longer=True, measured=5000,
        ),
        PLAIN: setting(
            "plain-cifar10", "VGG-16 on CIFAR-10, no BatchNorm",
            "VGG-16 without BatchNorm on CIFAR-10, cropped and mirrored (in place of WRN-40-10)", "cifar10",
            epochs=200, examples=45_000, seconds=6.0, batch=256, radii=(0.05,), measured=5000, statistics="",
        ),
    },
}  # fmt: skip

PROBLEMS: dict[str, dict[str, Problem]] = {
    scale: {name: chosen.problem for name, chosen in settings.items()} for scale, settings in SETTINGS.items()
}
"""Scale -> name of the network -> problem, for `reproduce.arms`."""


def compares(plan: Plan) -> list[str]:
    """Networks of the plan whose errors are compared: all but the one that is there for its spectrum."""
    return [name for name in plan.networks if name != PLAIN]
