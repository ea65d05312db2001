"""Pure measures of a model's loss surface, for any module, loss and batches; the model is untouched afterwards."""

from bsgap.measures.batches import Batches, Loss
from bsgap.measures.boxes import Scaling
from bsgap.measures.distance import distance, distance_from
from bsgap.measures.evaluation import Evaluation, evaluate
from bsgap.measures.linear import Displacement, LinearApproximation, linear_approximation, mini_batch
from bsgap.measures.modes import Statistics, evaluation_mode, untouched
from bsgap.measures.norms import LayerNorm, layer_norms
from bsgap.measures.paths import Path, state_path
from bsgap.measures.sharpness import Maximiser, Sharpness, keskar_sharpness
from bsgap.measures.timing import PassTimes, time_passes

__all__ = [
    "Batches",
    "Displacement",
    "Evaluation",
    "LayerNorm",
    "LinearApproximation",
    "Loss",
    "Maximiser",
    "PassTimes",
    "Path",
    "Scaling",
    "Sharpness",
    "Statistics",
    "distance",
    "distance_from",
    "evaluate",
    "evaluation_mode",
    "keskar_sharpness",
    "layer_norms",
    "linear_approximation",
    "mini_batch",
    "state_path",
    "time_passes",
    "untouched",
]
