"""Lightning callbacks: thin shells over the measures, and what a reproducible run needs."""

from bsgap.callbacks.curves import Curves, Point
from bsgap.callbacks.decay import RateDecay
from bsgap.callbacks.hessian import Hessian
from bsgap.callbacks.keep import KeepWeights
from bsgap.callbacks.landscape import LossLandscape
from bsgap.callbacks.linear import LinearApproximationError
from bsgap.callbacks.outcome import Outcome
from bsgap.callbacks.ramp import BatchSizeRamp
from bsgap.callbacks.rates import ScaledRate
from bsgap.callbacks.resume import ResumePoint
from bsgap.callbacks.sharpness import Sharpness
from bsgap.callbacks.stopping import StoppingRule
from bsgap.callbacks.weight_distance import WeightDistance

__all__ = [
    "BatchSizeRamp",
    "Curves",
    "Hessian",
    "KeepWeights",
    "LinearApproximationError",
    "LossLandscape",
    "Outcome",
    "Point",
    "RateDecay",
    "ResumePoint",
    "ScaledRate",
    "Sharpness",
    "StoppingRule",
    "WeightDistance",
]
