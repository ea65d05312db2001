"""The figures and tables of yao, with their captions."""

from reproduce.papers.yao import figures, tables
from reproduce.papers.yao.trials import attacks, curves, ends, spectra, trials
from reproduce.study import Artifact

ARTIFACTS = (
    Artifact(
        "spectrum", "The largest eigenvalues of the Hessian against the batch size",
        "Eigenvalues of the Hessian of the training loss over a fixed sample of training examples, by Lanczos' method: "
        "the three largest, and the size of the most negative one. Matched loss: the weights at which the runs of a "
        "seed first reached the lowest declared training loss that all its batch sizes reached.",
        "figure", trials, spectra, figures.spectrum,
    ),
    Artifact(
        "eigenvector", "Loss along the top eigenvector",
        "Training loss along the unit eigenvector of the largest eigenvalue, at the end of training with the smallest "
        "and with the largest batch. The sign of an eigenvector is arbitrary: each is turned so that the loss is the "
        "higher at its positive end.",
        "figure", ends, curves, figures.eigenvector,
    ),
    Artifact(
        "robustness", "Accuracy under the fast gradient sign method",
        "Test accuracy when every pixel is moved by ε along the sign of the loss's gradient, and the share that this "
        "is of the accuracy without attack. Pixels lie in [0, 1] and stay there.",
        "figure", trials, attacks, figures.robustness,
    ),
    Artifact(
        "sizes", "What every batch size came to",
        "At the end of training, mean ± standard deviation over seeds: training loss (nats, on a fixed sample), "
        "eigenvalues of the Hessian, test accuracy in per cent without and under attack. λmin is the most negative "
        "eigenvalue, or where none is negative the smallest that was found.",
        "table", trials, lambda plan, results: [*spectra(plan, results), *attacks(plan, results)], tables.sizes,
    ),
)  # fmt: skip
