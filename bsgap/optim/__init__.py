"""What changes the step: rules for the learning rate, LARS, SAM, and groups of parameters."""

from bsgap.optim.decay import Decay, PeriodicDecay, PolynomialDecay, StepDecay
from bsgap.optim.groups import parameter_groups
from bsgap.optim.lars import LARS
from bsgap.optim.rates import BaseRate, LinearScaling, RateRule, SquareRootScaling, WarmUp, warm_up
from bsgap.optim.regime import adapt_regime
from bsgap.optim.sam import ASAM, SAM

__all__ = [
    "ASAM",
    "LARS",
    "SAM",
    "BaseRate",
    "Decay",
    "LinearScaling",
    "PeriodicDecay",
    "PolynomialDecay",
    "RateRule",
    "SquareRootScaling",
    "StepDecay",
    "WarmUp",
    "adapt_regime",
    "parameter_groups",
    "warm_up",
]
