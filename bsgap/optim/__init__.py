"""What changes the step: rules for the learning rate."""

from bsgap.optim.rates import BaseRate, LinearScaling, RateRule, SquareRootScaling, warm_up

__all__ = ["BaseRate", "LinearScaling", "RateRule", "SquareRootScaling", "warm_up"]
