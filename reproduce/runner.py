"""Runs what a plan lacks: trainings first come, measurements as soon as their runs are done."""

from collections import Counter
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

ATTEMPTS = 2  # trainings of one run in one command; the second brings back weights that are not at hand


@dataclass
class Runner:
    """One pass over a plan.

    Attributes:
        study: The paper.
        plan: What to do.
        results: The store's view.
        wandb: Options of `--wandb` for each training: mode, project, group, folder.
        retry: Train failed runs again.
        failures: Label of each job that failed -> its traceback.
        warnings: One line for each corrupt thing that a worker set aside.
        all_trials: Run id -> trial, for every run of the plan.
    """

    study: Study
    plan: Plan
    results: Results
    wandb: dict[str, Any]
    retry: bool = False
    failures: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    all_trials: dict[str, Trial] = field(init=False)
    _jobs: dict[str, Measure] = field(default_factory=dict, init=False)  # job key -> what it measures
    _training: dict[str, str] = field(default_factory=dict, init=False)  # run being trained -> key of its job
    _begun: Counter[str] = field(default_factory=Counter, init=False)  # run -> trainings begun
    _failed: set[str] = field(default_factory=set, init=False)  # runs that failed in this pass

    def __post_init__(self) -> None:
        self._look()

    def _look(self) -> None:
        """Know the plan's runs, among them those that others which have ended by now decide."""
        self.all_trials = {self.results.id(trial): trial for trial in trials(self.study, self.plan, self.results)}

    def pending(self) -> list[Trial]:
        """Trials that are not done and can be; failed ones only when they are to be tried again."""
        return [
            trial
            for key, trial in self.all_trials.items()
            if self.results.run(trial) is None and not self._given_up(key) and not self._without_start(trial)
        ]

    def given_up(self) -> list[str]:
        """Ids of runs that failed and are left so."""
        return [key for key in self.all_trials if self._given_up(key)]

    def pending_measures(self) -> list[Measure]:
        """Measurements that can be taken now and have not been."""
        found: dict[str, Measure] = {}
        for artifact in artifacts(self.study, self.plan):
            for measure in artifact.measures(self.plan, self.results):
                found.setdefault(self._key(measure), measure)
        return [m for m in found.values() if self._measurable(m) and self.results.measured(m) is None]

    def run(self, jobs: int, threads: int, progress: Progress) -> Summary:
        """Do everything that is missing."""
        engine = LocalEngine(jobs, threads)
        summary = engine.run(self._work(), on_done=self._on_done, on_failed=self._on_failed, progress=progress)
        if not summary.interrupted:
            for measure in self.pending_measures():
                lost = "not taken, as its weights are not at hand; start again"
                self.failures.setdefault(_label(measure), lost)
        return summary

    def _given_up(self, key: str) -> bool:
        again = self.retry and key not in self._failed
        return not again and self.results.store.status(key) == "failed"

    def _without_start(self, trial: Trial) -> bool:
        """Whether the run that this one starts from was to keep those weights, and ended before."""
        if trial.start is None or (source := self.results.run(trial.start[0])) is None:
            return False
        name = trial.start[1]
        asked = [f"epoch-{epoch}" for epoch in (source.config.get("keep") or {}).get("epochs") or ()]
        return name not in source.outcome["kept"] and (name in asked or not name.startswith("epoch-"))

    def _measurable(self, measure: Measure) -> bool:
        """Whether the runs have kept these weights; where a diverged run ended is no solution."""
        return all(
            name in self.results.kept(trial) and not (name == "final" and self.results.diverged(trial))
            for trial, name in measure.of
        )

    def _key(self, measure: Measure) -> str:
        weights = [f"{self.results.id(trial)}/{name}" for trial, name in measure.of]
        return f"{measure.kind} {' '.join(weights)} {measure.options}"

    def _work(self) -> list[Job]:
        """All that can start now. The engine knows each job by its key and runs none twice."""
        ready = [t for t in self.pending() if t.start is None or self.results.run(t.start[0]) is not None]
        return [*(job for trial in ready for job in self._train(trial)), *self._measurements()]

    def _train(self, trial: Trial, weights: Iterable[str] = ()) -> list[Job]:
        """The job that trains a run, after one that brings back what it starts from, where that is not at hand.

        Nothing when the run is being trained, or has been often enough.
        """
        key, config = self.results.id(trial), self.results.config(trial)
        if key in self._training or self._begun[key] == ATTEMPTS:
            return []
        before: list[Job] = []
        after: tuple[str, ...] = ()
        if trial.start is not None:
            source, name = self.results.id(trial.start[0]), trial.start[1]
            if not self._at_hand(trial.start[0], name):
                before = self._train(trial.start[0], [name])
                if source not in self._training:
                    return []
                after = (self._training[source],)
        self._begun[key] += 1
        self._training[key] = f"train {key} {self._begun[key]}"
        payload = {
            "root": str(self.results.store.root),
            "id": key,
            "config": config,
            "fingerprint": self.results.fingerprint(config["data"]["init_args"]["source"]),
            "weights": list(weights),
            "wandb": self.wandb | {"id": key, "tags": [trial.scale, trial.recipe]},
        }
        return [*before, Job(self._training[key], "train", trial.label, payload, after, trial.seconds)]

    def _measurements(self) -> list[Job]:
        jobs: list[Job] = []
        for measure in self.pending_measures():
            key = self._key(measure)
            if key in self._jobs or any(self.results.id(trial) in self._training for trial, _ in measure.of):
                continue
            lost = [(trial, name) for trial, name in measure.of if not self._at_hand(trial, name)]
            if lost:  # asked again when the weights are there
                jobs += [job for trial, name in lost for job in self._train(trial, [name])]
                continue
            self._jobs[key] = measure
            payload = {
                "config": self.results.config(measure.of[0][0]),
                "weights": [str(self.results.weights(trial, name)) for trial, name in measure.of],
                "options": dict(measure.options),
            }
            jobs.append(Job(key, measure.kind, _label(measure), payload, (), measure.seconds))
        return jobs

    def _at_hand(self, trial: Trial, name: str) -> bool:
        """Whether weights can be read: a published run has none, and files may be damaged."""
        try:
            return self.results.weights(trial, name) is not None
        except CorruptData:  # the store has set the run aside
            self.results.forget(trial)
            return False

    def _on_done(self, job: Job, result: dict[str, Any]) -> list[Job]:
        if job.kind == "train":
            key = job.payload["id"]
            self._training.pop(key, None)
            self.results.forget(self.all_trials[key])
            self.warnings += result["warnings"]
            self._look()
            return self._work()
        seconds = result.pop("_seconds")
        measure = self._jobs[job.key]
        ids = tuple(self.results.id(trial) for trial, _ in measure.of)
        self.results.store.put_measurement(ids, measure.specification(), result, seconds)
        return []

    def _on_failed(self, job: Job, text: str) -> None:
        self.failures[job.label] = text
        if job.kind == "train":
            key = job.payload["id"]
            self._training.pop(key, None)
            self._failed.add(key)
            self.results.store.fail(key, text)


def _label(measure: Measure) -> str:
    """What a reader calls a measurement: `sharpness of final (0.001, sign): F1, batch 256, seed 0`."""
    trial, name = measure.of[0]
    options = ", ".join(str(value) for _, value in measure.options if value is not None)
    return f"{measure.kind} of {name}{f' ({options})' if options else ''}: {trial.label}"
