"""The figures and tables of sam, with their captions."""

from reproduce.papers.sam import figures, tables
from reproduce.papers.sam.trials import (
    PROBES,
    STEPS,
    curvature_measures,
    every_run,
    spectrum_measures,
    spectrum_runs,
    table_runs,
)
from reproduce.results import Results
from reproduce.study import Artifact, Measure, Plan

_BEST = "SAM has the rho of the best validation accuracy, mean over seeds; no test example has a say. "


def _nothing(plan: Plan, results: Results) -> list[Measure]:
    return []


ARTIFACTS = (
    Artifact(
        "radii", "Test error against rho",
        "At the end of training. With m below the batch size each group of m examples is perturbed by its own "
        "gradient, and the gradients of the groups are averaged (m-sharpness). SGD, which is SAM at rho 0, is drawn "
        "across.",
        "figure", every_run, _nothing, figures.radii,
    ),
    Artifact(
        "methods", "Test error of SGD and of SAM",
        "Per cent at the end, mean ± standard deviation over seeds; differences in points, seed-paired, with their 95 "
        "% intervals. SAM takes two gradients a step, so SGD for twice the epochs takes as many. " + _BEST + "Reported "
        "(P): Table 1, WRN-28-10, 200 epochs, basic augmentation, mean and 95 % interval of five runs. *: the better "
        "of both budgets. Beside an analogue, which is another problem, the order compares and the levels do not.",
        "table", table_runs, _nothing, tables.methods,
    ),
    Artifact(
        "grid", "Test error at every rho and m",
        "The numbers of the figure: per cent, mean ± standard deviation over seeds. ★: chosen by the validation split.",
        "table", every_run, _nothing, tables.grid,
    ),
    Artifact(
        "spectra", "Density of the Hessian's eigenvalues where SGD and SAM ended",
        f"By stochastic Lanczos quadrature, {STEPS} steps from one random vector; each node is broadened by 1 % of the "
        "range. Of the training loss over a fixed sample, without augmentation. Ticks: the largest eigenvalue, by "
        "Lanczos' method until its residual is 1 %. " + _BEST,
        "figure", spectrum_runs, spectrum_measures, figures.spectra,
    ),
    Artifact(
        "minima", "Curvature where SGD and SAM ended",
        "Of the training loss over a fixed sample, beside that loss: a method that lowers it less may be flatter for "
        f"that alone. The trace is the mean of {PROBES} random vectors. Mean ± standard deviation over seeds. " + _BEST
        + "Reported (P) of WRN-40-10 without BatchNorm at convergence.",
        "table", spectrum_runs, curvature_measures, tables.minima,
    ),
)  # fmt: skip
