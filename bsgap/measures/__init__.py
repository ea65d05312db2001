"""Pure measures of a model's loss surface: any module, loss and batches, and the model is untouched afterwards."""

from bsgap.measures.batches import Batches, Loss
from bsgap.measures.evaluation import Evaluation, evaluate
from bsgap.measures.modes import Statistics, evaluation_mode, untouched
from bsgap.measures.sharpness import Sharpness, keskar_sharpness

__all__ = [
    "Batches",
    "Evaluation",
    "Loss",
    "Sharpness",
    "Statistics",
    "evaluate",
    "evaluation_mode",
    "keskar_sharpness",
    "untouched",
]
