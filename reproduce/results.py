"""What a store knows about a plan's trials and measures: the view from which figures, tables and claims are made."""

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reproduce import datasets, recipes
from reproduce.identity import run_id
from reproduce.machine import machine
from reproduce.store import Run, Store
from reproduce.study import Measure, Trial

if TYPE_CHECKING:
    import pandas as pd


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
        self._configs: dict[tuple[Trial, tuple[int, ...]], dict[str, Any]] = {}
        self._runs: dict[str, Run | None] = {}
        self._measured: dict[Measure, dict[str, Any]] = {}
        self._fingerprints: dict[str, str] = {}
        self._published: dict[str, list[str]] = {}

    @property
    def machine_class(self) -> str:
        """A phrase for the machines that the runs looked at so far come from, never a host name."""
        records = [run.record.get("machine") for run in self._runs.values() if run is not None] or [machine()]
        known = {f"{record['cores']}-core {record['accelerator'] or 'CPU'}" for record in records if record}
        return " and ".join(sorted(known))

    def config(self, trial: Trial) -> dict[str, Any]:
        """The whole configuration of a trial."""
        key = (trial, trial.keep_epochs)  # what is kept observes a run, so it is no part of a trial's equality
        if key not in self._configs:
            weights = None
            if trial.start is not None:
                source, name = trial.start
                weights = str(_relative(self.store.path(self.id(source))) / "weights" / f"{name}.pt")
            self._configs[key] = recipes.configuration(trial, weights)
        return self._configs[key]

    def id(self, trial: Trial) -> str:
        """The id of a trial's run: a hash of what decides its numbers.

        Without the data it is that of a published run on a subset of them, where there is one.
        """
        if trial not in self._ids:
            config = self.config(trial)
            source = config["data"]["init_args"]["source"]
            found = [run_id(config, self.fingerprint(source))]
            if not self.store.is_done(found[0]):
                found += [run_id(config, other) for other in self._subsets(source)]
            self._ids[trial] = next((key for key in found if self.store.is_done(key)), found[0])
        return self._ids[trial]

    def _subsets(self, source: str) -> list[str]:
        """Fingerprints of the published runs on a data set that is not at hand."""
        from bsgap.data.files import data_root

        if source not in self._published:
            absent = not datasets.files(source, data_root(self.data_root))
            self._published[source] = self.store.fingerprints(source) if absent else []
        return self._published[source]

    def fingerprint(self, source: str) -> str:
        """Digest of a data set's content: of what is found, or the official one where nothing is."""
        from bsgap.data.files import data_root  # torch takes seconds, and `reproduce list` needs none of it

        if source not in self._fingerprints:
            self._fingerprints[source] = datasets.fingerprint(source, data_root(self.data_root))
        return self._fingerprints[source]

    def run(self, trial: Trial) -> Run | None:
        """The finished (or diverged) run of a trial."""
        key = self.id(trial)
        if key not in self._runs:
            self._runs[key] = self.store.run(key) if self.store.is_done(key) else None
        return self._runs[key]

    def forget(self, trial: Trial) -> None:
        """Look at the store again: the run has just ended, or was set aside."""
        key = self.id(trial)
        self._runs.pop(key, None)
        self._measured = {m: found for m, found in self._measured.items() if key not in self._ids_of(m)}

    def kept(self, trial: Trial) -> dict[str, dict[str, float]]:
        """Name of each set of weights that the run kept -> step, epoch and loss of that moment."""
        run = self.run(trial)
        return dict(run.outcome["kept"]) if run is not None else {}

    def curves(self, trial: Trial) -> "pd.DataFrame | None":
        """The tidy curves of a run: step, epoch, examples, metric, value."""
        run = self.run(trial)
        return run.metrics() if run is not None else None

    def measured(self, measure: Measure) -> dict[str, Any] | None:
        """The result of a measure."""
        if measure not in self._measured:
            found = self.store.measurement(self._ids_of(measure), measure.specification())
            if found is None:
                return None
            self._measured[measure] = found
        return self._measured[measure]

    def value(self, measure: Measure | None, name: str) -> float | None:
        """One number of a measure's result; None when it was not taken, NaN when a run of it diverged.

        What a diverged run kept on its way counts; where it ended is no solution.
        """
        if measure is None:
            return None
        if any(weights == "final" and self.diverged(trial) for trial, weights in measure.of):
            return math.nan
        found = self.measured(measure)
        return None if found is None else float(found[name])

    def diverged(self, trial: Trial) -> bool:
        """Whether the run of a trial ended because its loss exploded."""
        run = self.run(trial)
        return run is not None and run.status == "diverged"

    def _ids_of(self, measure: Measure) -> tuple[str, ...]:
        return tuple(self.id(trial) for trial, _ in measure.of)

    def weights(self, trial: Trial, name: str) -> Path | None:
        """The file of kept weights, where it is at hand."""
        run = self.run(trial)
        return run.weights(name) if run is not None else None


def unique(trials: Iterable[Trial], results: Results) -> list[Trial]:
    """Trials without repetition: those of one run id are one, which keeps all the epochs that any of them keeps."""
    found: dict[str, Trial] = {}
    for trial in trials:
        known = found.setdefault(results.id(trial), trial)
        epochs = {*known.keep_epochs, *trial.keep_epochs}
        if len(epochs) > len(known.keep_epochs):
            found[results.id(trial)] = replace(known, keep_epochs=tuple(sorted(epochs)))
    return list(found.values())


def _relative(path: Path) -> Path:
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path.resolve()
