"""The papers: each module declares its trials, figures, tables and claims, and nothing else."""

from functools import cache
from importlib import import_module

from bsgap.errors import UsageError
from reproduce.study import Study

TITLES = {
    "keskar": "large-batch training and sharp minima (Keskar et al. 2017)",
    "golmant": "the computational inefficiency of large batch sizes (Golmant et al. 2018)",
    "adabatch": "adaptive batch sizes (Devarakonda, Naumov, Garland 2017)",
    "smith": "growing the batch instead of decaying the learning rate (Smith et al. 2017)",
    "hoffer": "train longer, generalize better (Hoffer, Hubara, Soudry 2017)",
    "goyal": "accurate, large minibatch SGD (Goyal et al. 2017)",
    "lars": "layer-wise adaptive rate scaling (You, Gitman, Ginsburg 2017)",
    "surlemont": "does sharpness-aware minimisation repair large batches? (the accompanying study)",
    "sam": "sharpness-aware minimisation: rho, m, and spectra at convergence (Foret et al. 2021)",
    "asam": "adaptive sharpness-aware minimisation against SAM (Kwon et al. 2021)",
    "li": "loss landscapes of small and large batches, filter-normalised (Li et al. 2018)",
    "yao": "Hessian spectra and adversarial robustness against the batch size (Yao et al. 2018)",
    "jastrzebski": "three factors influencing minima in SGD (Jastrzebski et al. 2017)",
}
"""Command name of a paper -> what it is about."""


@cache
def study(name: str) -> Study:
    """The study of a paper by its command name.

    Raises:
        UsageError: There is no such paper.
    """
    if name not in TITLES:
        raise UsageError(f"unknown paper {name!r}: expected one of {', '.join(TITLES)}; see `reproduce list`.")
    return import_module(f"reproduce.papers.{name}").STUDY
