"""What changes the step: rules for the learning rate."""

from bsgap.optim.decay import Decay, PeriodicDecay, PolynomialDecay, StepDecay
from bsgap.optim.rates import BaseRate, LinearScaling, RateRule, SquareRootScaling, WarmUp, warm_up
from bsgap.optim.regime import adapt_regime

__all__ = [
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
    "warm_up",
]
