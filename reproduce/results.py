"""What a store knows about a plan's trials and measures: the view from which figures, tables and claims are made."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from bsgap.data import sources
from bsgap.data.files import data_root
from bsgap.errors import UsageError
from reproduce import recipes
from reproduce.identity import run_id
from reproduce.machine import machine
from reproduce.store import Run, Store
from reproduce.study import Measure, Trial


class Results:
    """Runs and measurements of a store, by trial and measure.

    Everything that is not there yet is None (or empty), so that figures can be drawn from what is.

    Args:
        store: The run store.
        data_root: Folder of the data sets, for their fingerprints.
    """

    def __init__(self, store: Store, data_root: str | None = None):
        self.store, self.data_root = store, data_root
        self._ids: dict[Trial, str] = {}
        self._configs: dict[Trial, dict[str, Any]] = {}
        self._runs: dict[str, Run | None] = {}
        self._fingerprints: dict[str, str] = {}

    @cached_property
    def machine_class(self) -> str:
        """A phrase for the machine that draws, never a host name."""
        known = machine()
        return f"{known['cores']}-core {known['accelerator'] or 'CPU'}"

    def config(self, trial: Trial) -> dict[str, Any]:
        """The whole configuration of a trial."""
        if trial not in self._configs:
            weights = None
            if trial.start is not None:
                source, name = trial.start
                weights = str(_relative(self.store.path(self.id(source))) / "weights" / f"{name}.pt")
            self._configs[trial] = recipes.configuration(trial, weights)
        return self._configs[trial]

    def id(self, trial: Trial) -> str:
        """The id of a trial's run: a hash of what decides its numbers."""
        if trial not in self._ids:
            config = self.config(trial)
            self._ids[trial] = run_id(config, self.fingerprint(config["data"]["init_args"]["source"]))
        return self._ids[trial]

    def fingerprint(self, source: str) -> str:
        """Digest of a data set's content: of what is found, or the official one where nothing is."""
        if source not in self._fingerprints:
            self._fingerprints[source] = sources.fingerprint(source, data_root(self.data_root))
        return self._fingerprints[source]

    def run(self, trial: Trial) -> Run | None:
        """The finished (or diverged) run of a trial."""
        key = self.id(trial)
        if key not in self._runs:
            self._runs[key] = self.store.run(key) if self.store.is_done(key) else None
        return self._runs[key]

    def forget(self, trial: Trial) -> None:
        """Look at the store again: the run has just ended."""
        self._runs.pop(self.id(trial), None)

    def kept(self, trial: Trial) -> dict[str, dict[str, float]]:
        """Name of each set of weights that the run kept -> step, epoch and loss of that moment."""
        run = self.run(trial)
        return dict(run.outcome["kept"]) if run is not None else {}

    def curves(self, trial: Trial) -> pd.DataFrame | None:
        """The tidy curves of a run: step, epoch, examples, metric, value."""
        run = self.run(trial)
        return run.metrics() if run is not None else None

    def measured(self, measure: Measure) -> dict[str, Any] | None:
        """The result of a measure."""
        ids = tuple(self.id(trial) for trial, _ in measure.of)
        found: dict[str, Any] | None = self.store.measurement(ids, measure.specification())
        return found

    def weights(self, trial: Trial, name: str) -> Path | None:
        """The file of kept weights, where it is at hand."""
        run = self.run(trial)
        return run.weights(name) if run is not None else None


def unique(trials: Iterable[Trial], results: Results) -> list[Trial]:
    """Trials without repetition: those of one run id are one, with all the epochs that any of them keeps.

    Raises:
        UsageError: Two scales or settings that should differ give one id; that is a mistake in a paper module.
    """
    found: dict[str, Trial] = {}
    for trial in trials:
        key = results.id(trial)
        known = found.get(key)
        if known is None or set(trial.keep_epochs) > set(known.keep_epochs):
            found[key] = trial
        elif not set(trial.keep_epochs) <= set(known.keep_epochs):
            raise UsageError(f"{trial.label}: two figures keep different epochs of one run; declare one set.")
    return list(found.values())


def _relative(path: Path) -> Path:
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path.resolve()
