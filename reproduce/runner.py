"""Runs what a plan lacks: trainings first come, measurements as soon as their runs are done."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bsgap.errors import CorruptData
from reproduce.engines.jobs import Job, Summary
from reproduce.engines.local import LocalEngine
from reproduce.planning import artifacts, trials
from reproduce.progress import Progress
from reproduce.results import Results
from reproduce.study import Measure, Plan, Study, Trial


@dataclass
class Runner:
    """One pass over a plan.

    Attributes:
        study: The paper.
        plan: What to do.
        results: The store's view.
        wandb: Options of `--wandb` for each training: mode, project, group, folder.
        retry: Train failed runs again.
    """

    study: Study
    plan: Plan
    results: Results
    wandb: dict[str, Any]
    retry: bool = False
    failures: dict[str, str] = field(default_factory=dict)
    _trials: dict[str, Trial] = field(default_factory=dict)
    _measures: dict[str, Measure] = field(default_factory=dict)
    _finished: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._trials = {self.results.id(trial): trial for trial in trials(self.study, self.plan, self.results)}

    @property
    def all_trials(self) -> dict[str, Trial]:
        """Run id -> trial, for every run of the plan."""
        return self._trials

    def pending(self) -> list[Trial]:
        """Trials that are not done; failed ones only when they are to be tried again."""
        return [
            trial
            for key, trial in self._trials.items()
            if self.results.run(trial) is None and self._may(key) and not self._without_start(trial)
        ]

    def _without_start(self, trial: Trial) -> bool:
        """Whether the run that this one starts from ended before that moment."""
        if trial.start is None or (source := self.results.run(trial.start[0])) is None:
            return False
        return trial.start[1] not in source.outcome["kept"]

    def given_up(self) -> list[str]:
        """Ids of runs that failed earlier and are left so."""
        return [] if self.retry else [key for key in self._trials if self.results.store.status(key) == "failed"]

    def _may(self, key: str) -> bool:
        return self.retry or self.results.store.status(key) != "failed"

    def pending_measures(self) -> list[Measure]:
        """Measurements that can be taken now and have not been."""
        found: dict[tuple[Any, ...], Measure] = {}
        for artifact in artifacts(self.study, self.plan):
            for measure in artifact.measures(self.plan, self.results):
                if all(self.results.run(trial) is not None for trial, _ in measure.of):
                    found.setdefault(self._key(measure), measure)
        return [measure for measure in found.values() if self.results.measured(measure) is None and self._kept(measure)]

    def _kept(self, measure: Measure) -> bool:
        """Whether the runs lived to keep these weights at all; diverged ones may not have."""
        return all(name in self.results.kept(trial) for trial, name in measure.of)

    def _key(self, measure: Measure) -> tuple[Any, ...]:
        return (*((self.results.id(trial), name) for trial, name in measure.of), measure.kind, measure.options)

    def run(self, jobs: int, threads: int, progress: Progress) -> Summary:
        """Do everything that is missing."""
        engine = LocalEngine(jobs, threads)
        return engine.run(self._work(), on_done=self._done, on_failed=self._failed, progress=progress)

    def _work(self) -> list[Job]:
        """All that can start now. The engine knows each job by its key and runs none twice."""
        ready = [t for t in self.pending() if t.start is None or self.results.run(t.start[0]) is not None]
        return [*(job for trial in ready for job in self._training(trial)), *self._measurements()]

    def _training(self, trial: Trial, weights: Iterable[str] = (), attempt: int = 0) -> list[Job]:
        key = self.results.id(trial)
        before: list[Job] = []
        if trial.start is not None:
            source, name = trial.start
            if name not in self.results.store.run(self.results.id(source)).kept:  # a published run has no weights
                before = self._training(source, [name], attempt=1)
        payload = {
            "root": str(self.results.store.root),
            "id": key,
            "config": self.results.config(trial),
            "fingerprint": self.results.fingerprint(self.results.config(trial)["data"]["init_args"]["source"]),
            "weights": list(weights),
            "wandb": self.wandb | {"id": key, "tags": [trial.scale, trial.recipe]},
        }
        suffix = f" again {attempt}" if attempt else ""
        after = tuple(job.key for job in before)
        return [*before, Job(f"train {key}{suffix}", "train", trial.label, payload, after, trial.seconds)]

    def _measurements(self) -> list[Job]:
        jobs: list[Job] = []
        known: set[str] = set()
        for measure in self.pending_measures():
            job_key = f"{measure.kind} {self._key(measure)}"
            if job_key in self._measures:
                continue
            trained = self._trained_again(measure)
            jobs += [job for job in trained if job.key not in known]
            known |= {job.key for job in trained}
            if trained:
                continue  # asked again when the weights are there
            self._measures[job_key] = measure
            files = [str(self.results.weights(trial, name)) for trial, name in measure.of]
            trial = measure.of[0][0]
            payload = {
                "config": self.results.config(trial),
                "weights": files,
                "options": dict(measure.options),
            }
            jobs.append(Job(job_key, measure.kind, f"{measure.kind}: {trial.label}", payload, (), measure.seconds))
        return jobs

    def _trained_again(self, measure: Measure) -> list[Job]:
        """Trainings that bring back weights which are not at hand: of published runs, or damaged files."""
        jobs: list[Job] = []
        for trial, name in measure.of:
            run = self.results.run(trial)
            try:
                missing = run is not None and run.weights(name) is None
            except CorruptData:
                self.results.forget(trial)
                missing = True
            if missing:
                jobs += self._training(trial, [name], attempt=1)
        return jobs

    def _done(self, job: Job, result: dict[str, Any]) -> list[Job]:
        if job.kind == "train":
            self.results.forget(self._trials[job.payload["id"]])
        else:
            seconds = result.pop("_seconds")
            measure = self._measures[job.key]
            ids = tuple(self.results.id(trial) for trial, _ in measure.of)
            self.results.store.put_measurement(ids, measure.specification(), result, seconds)
            return []
        return self._work()

    def _failed(self, job: Job, text: str) -> None:
        self.failures[job.label] = text
        if job.kind == "train":
            self.results.store.fail(job.payload["id"], text)
