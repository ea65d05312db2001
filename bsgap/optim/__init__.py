"""What changes the step: rules for the learning rate, LARS, and groups of parameters."""

from bsgap.optim.decay import Decay, PeriodicDecay, PolynomialDecay, StepDecay
from bsgap.optim.groups import parameter_groups
from bsgap.optim.lars import LARS
from bsgap.optim.rates import BaseRate, LinearScaling, RateRule, SquareRootScaling, WarmUp, warm_up
from bsgap.optim.regime import adapt_regime

__all__ = [
    "LARS",
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
