"""The figure and the tables of asam, with their captions."""

from reproduce.papers.asam import figures, tables
from reproduce.papers.asam.trials import ADAPTIVE_RADIUS, ASCENT, ETA, NEAR, RADIUS, every_run, measures
from reproduce.results import Results
from reproduce.study import Artifact, Measure, Plan

_BEST = "SAM and ASAM have the rho of the best validation accuracy, mean over seeds; no test example has a say. "


def _nothing(plan: Plan, results: Results) -> list[Measure]:
    return []


ARTIFACTS = (
    Artifact(
        "radii", "Test error against rho, of SAM and of ASAM",
        "At the end of training. The rho of ASAM measures a ball in units of the weights' own sizes, so the two are on "
        "different scales: its grid has ten times the values, and spans the same factor. SGD is drawn across.",
        "figure", every_run, _nothing, figures.radii,
    ),
    Artifact(
        "methods", "Test error of SGD, SAM and ASAM",
        "Per cent at the end, mean ± standard deviation over seeds; differences in points, seed-paired, with their 95 "
        "% intervals. " + _BEST + f"Range: decades of rho around the best with a test error within {NEAR:g} point of "
        "it, within the grid.",
        "table", every_run, _nothing, tables.methods,
    ),
    Artifact(
        "grid", "Test error at every rho",
        "The numbers of the figure: mean ± standard deviation over seeds. ★: chosen by the validation split.",
        "table", every_run, _nothing, tables.grid,
    ),
    Artifact(
        "sharpness", "Sharpness where SGD, SAM and ASAM ended",
        f"Largest rise of the loss (nats) found in the ball ‖ε‖ ≤ {RADIUS:g} and in the adaptive ball ‖ε/(|w| + "
        f"{ETA:g})‖ ≤ {ADAPTIVE_RADIUS:g}, by {ASCENT} steps of projected gradient ascent that start with SAM's own, "
        "over a fixed sample of training examples, without augmentation. Mean ± standard deviation over "
        "seeds. " + _BEST,
        "table", every_run, measures, tables.sharpness,
    ),
)  # fmt: skip
