"""Where recipes are, and what a trial's whole configuration is."""

import copy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bsgap.errors import UsageError
from reproduce.study import Trial


def folder() -> Path:
    """The folder of recipes: beside the package in a wheel, at the top of a checkout."""
    for place in (Path(__file__).parent / "configs", Path(__file__).parent.parent / "configs"):
        if place.is_dir():
            return place
    raise UsageError("the recipes (configs/) are missing beside the package; install it again.")


def files(paper: str, recipe: str, scale: str) -> list[Path]:
    """The YAML files of a recipe at a scale, in the order in which they are read.

    `NAME.yaml` is the published protocol. `NAME.SCALE.yaml` is an overlay of scalars on it, or, where network or data
    differ, a recipe of its own; it is one of its own when it names a model class.
    """
    base, special = folder() / paper / f"{recipe}.yaml", folder() / paper / f"{recipe}.{scale}.yaml"
    if special.exists():
        alone = "class_path" in (yaml.safe_load(special.read_text()) or {}).get("model", {})
        return [special] if alone else [base, special]
    if not base.exists():
        raise UsageError(f"no recipe {recipe} for {paper} at scale {scale} in {folder()}.")
    return [base]


@cache
def _resolved(paper: str, recipe: str, scale: str) -> dict[str, Any]:
    from bsgap.cli import resolve  # torch is imported only when a configuration is needed

    return resolve(*files(paper, recipe, scale), absent=True)


def _given(section: Any) -> Any:
    """A copy of a configuration without the options that are absent."""
    if not isinstance(section, dict):
        return copy.deepcopy(section)
    return {name: _given(value) for name, value in section.items() if value is not None}


def configuration(trial: Trial, initial_weights: str | None = None) -> dict[str, Any]:
    """The configuration that `bsgap fit` runs for a trial: recipe, overlay, then the trial's own settings."""
    options = _resolved(trial.paper, trial.recipe, trial.scale)
    config = _given(options)
    config["seed_everything"] = trial.seed
    for key, value in trial.overrides:
        *parents, last = key.split(".")
        known: Any = options
        section: Any = config
        for parent in parents:
            known, section = (known or {}).get(parent), (section or {}).get(parent)
        if last not in (known or {}) or section is None:
            raise UsageError(f"{trial.paper}/{trial.recipe} has no option {key}.")
        section[last] = value
    if trial.keep_epochs:
        config["keep"]["epochs"] = list(trial.keep_epochs)
    if initial_weights is not None:
        config["model"]["init_args"]["initial_weights"] = initial_weights
    return config
