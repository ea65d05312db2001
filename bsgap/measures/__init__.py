"""Pure measures of a model's loss surface, for any module, loss and batches; the model is untouched afterwards."""

from bsgap.measures.adversarial import Attack, fgsm
from bsgap.measures.ball import BallSharpness, ball_sharpness
from bsgap.measures.batches import Batches, Loss
from bsgap.measures.boxes import Scaling
from bsgap.measures.density import SpectralDensity, spectral_density
from bsgap.measures.directions import Direction, Normalise, difference, random_direction
from bsgap.measures.distance import distance, distance_from
from bsgap.measures.eigenvalues import Eigenvalues, top_eigenvalues
from bsgap.measures.evaluation import Evaluation, evaluate
from bsgap.measures.grid_files import write_csv, write_vtk
from bsgap.measures.linear import Displacement, LinearApproximation, linear_approximation, mini_batch
from bsgap.measures.modes import Statistics, evaluation_mode, untouched
from bsgap.measures.norms import LayerNorm, layer_norms
from bsgap.measures.paths import Path, state_path
from bsgap.measures.products import Curvature, Matrix, curvature
from bsgap.measures.sharpness import Maximiser, Sharpness, keskar_sharpness
from bsgap.measures.surface import Surface, surface
from bsgap.measures.timing import PassTimes, time_passes
from bsgap.measures.trace import Trace, hessian_trace
from bsgap.measures.weights import WeightHistogram, weight_histogram, weight_norm

__all__ = [
    "Attack",
    "BallSharpness",
    "Batches",
    "Curvature",
    "Direction",
    "Displacement",
    "Eigenvalues",
    "Evaluation",
    "LayerNorm",
    "LinearApproximation",
    "Loss",
    "Matrix",
    "Maximiser",
    "Normalise",
    "PassTimes",
    "Path",
    "Scaling",
    "Sharpness",
    "SpectralDensity",
    "Statistics",
    "Surface",
    "Trace",
    "WeightHistogram",
    "ball_sharpness",
    "curvature",
    "difference",
    "distance",
    "distance_from",
    "evaluate",
    "evaluation_mode",
    "fgsm",
    "hessian_trace",
    "keskar_sharpness",
    "layer_norms",
    "linear_approximation",
    "mini_batch",
    "random_direction",
    "spectral_density",
    "state_path",
    "surface",
    "time_passes",
    "top_eigenvalues",
    "untouched",
    "weight_histogram",
    "weight_norm",
    "write_csv",
    "write_vtk",
]
