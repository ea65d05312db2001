"""What is trained and measured, and in which order, with an engine that only takes notes."""

from types import SimpleNamespace

import pytest

from bsgap.errors import CorruptData
from reproduce import runner as runner_module
from reproduce.engines.jobs import Job, Summary
from reproduce.progress import Progress
from reproduce.runner import Runner
from reproduce.study import Artifact, Measure, Plan, Trial

PLAN = Plan("paper", "demo", ("net",), {"net": 1}, {}, ("fig1",))


def trial(batch, start=None):
    return Trial("paper", "net", "demo", 0, (("batch", batch),), start=start, label=f"batch {batch}")


SMALL, LARGE = trial(10), trial(100)
WARM = trial(100, start=(SMALL, "epoch-1"))
SHARP = Measure("sharpness", ((SMALL, "final"),), (("epsilon", 0.001), ("subspace", None)))
PATH = Measure("path", ((SMALL, "final"), (LARGE, "final")))


class Results:
    """A store in memory. `kept` are the names that a run kept, `files` those that are still at hand."""

    def __init__(self):
        self.done, self.files, self.failed, self.taken, self.put = {}, {}, set(), {}, []
        self.corrupt = set()
        self.store = SimpleNamespace(
            root="root",
            status=self.status,
            put_measurement=self.put_measurement,
            fail=lambda key, _: self.failed.add(key),
        )

    def finish(self, trial, kept=("final", "epoch-1"), files=None, status="finished", asked=(1,)):
        self.done[self.id(trial)] = SimpleNamespace(
            status=status, config={"keep": {"epochs": list(asked)}}, outcome={"kept": dict.fromkeys(kept)}
        )
        self.files[self.id(trial)] = set(kept if files is None else files)

    def id(self, trial):
        return f"{trial.label}{' warm' if trial.start else ''}"

    def status(self, key):
        return self.done[key].status if key in self.done else "failed" if key in self.failed else "absent"

    def put_measurement(self, ids, specification, result, seconds):
        self.put.append((ids, specification, result, seconds))
        self.taken[ids, specification["kind"]] = result

    def config(self, trial):
        return {"data": {"init_args": {"source": "digits"}}, "label": trial.label}

    def fingerprint(self, source):
        return f"fingerprint of {source}"

    def run(self, trial):
        return self.done.get(self.id(trial))

    def diverged(self, trial):
        return self.status(self.id(trial)) == "diverged"

    def kept(self, trial):
        return self.done[self.id(trial)].outcome["kept"] if self.id(trial) in self.done else {}

    def measured(self, measure):
        return self.taken.get((tuple(self.id(trial) for trial, _ in measure.of), measure.kind))

    def weights(self, trial, name):
        if (self.id(trial), name) in self.corrupt:
            self.corrupt.discard((self.id(trial), name))
            self.done.pop(self.id(trial))
            raise CorruptData("it was altered")
        return f"{self.id(trial)}/{name}.pt" if name in self.files.get(self.id(trial), ()) else None

    def forget(self, trial):
        pass


def make(trials, measures=(), results=None, retry=False):
    artifact = Artifact("fig1", "", "", "figure", lambda _: trials, lambda *_: list(measures), lambda *_: None)
    study = SimpleNamespace(artifacts=(artifact,))
    return Runner(study, PLAN, results or Results(), {"mode": "offline", "project": "p"}, retry)


def keys(jobs):
    return [job.key for job in jobs]


def done(runner, job, result=None):
    """The engine's answer to a job that is done."""
    return runner._on_done(job, {"status": "finished", "warnings": []} if result is None else result)


def test_a_training_gets_all_that_a_worker_needs():
    (job,) = make([SMALL])._work()
    assert (job.key, job.kind, job.label, job.after) == ("train batch 10 1", "train", "batch 10", ())
    assert job.payload == {
        "root": "root", "id": "batch 10", "fingerprint": "fingerprint of digits", "weights": [],
        "config": {"data": {"init_args": {"source": "digits"}}, "label": "batch 10"},
        "wandb": {"mode": "offline", "project": "p", "id": "batch 10", "tags": ["demo", "net"]},
    }  # fmt: skip


def test_measurements_come_as_soon_as_their_runs_are_done():
    runner = make([SMALL, LARGE], [SHARP, PATH, SHARP])
    small, large = runner._work()
    runner.results.finish(SMALL)
    (sharp,) = done(runner, small)
    assert sharp.payload["weights"] == ["batch 10/final.pt"]
    assert sharp.payload["options"] == {"epsilon": 0.001, "subspace": None}
    assert sharp.label == "sharpness of final (0.001): batch 10"
    runner.results.finish(LARGE)
    (path,) = done(runner, large)
    assert path.payload["weights"] == ["batch 10/final.pt", "batch 100/final.pt"]
    assert done(runner, sharp, {"value": 3.0, "_seconds": 2.0}) == []
    specification = {"kind": "sharpness", "weights": ["final"], "epsilon": 0.001, "subspace": None}
    assert runner.results.put == [(("batch 10",), specification, {"value": 3.0}, 2.0)]


def test_a_warm_start_waits_for_the_run_that_it_starts_from():
    runner = make([WARM])
    (small,) = runner._work()
    assert small.label == "batch 10"
    runner.results.finish(SMALL)
    (warm,) = done(runner, small)
    assert (warm.key, warm.after) == ("train batch 100 warm 1", ())


def test_a_run_that_ended_before_the_start_is_no_start():
    runner = make([WARM])
    runner.results.finish(SMALL, kept=("final",), asked=(1,))
    assert (runner.pending(), runner._work()) == ([], [])


def test_a_start_that_was_not_asked_of_an_earlier_training_is_had_by_training_again():
    runner = make([WARM])
    runner.results.finish(SMALL, kept=("final",), asked=(2, 5))
    small, warm = runner._work()
    assert small.payload["weights"] == ["epoch-1"]
    assert warm.after == (small.key,)


def test_a_published_run_is_trained_again_for_the_weights_of_a_measurement_and_then_measured():
    runner = make([SMALL, LARGE], [PATH])
    runner.results.finish(SMALL, files=())
    runner.results.finish(LARGE, files=())
    small, large = runner._work()
    assert [job.payload["weights"] for job in (small, large)] == [["final"], ["final"]]
    runner.results.finish(SMALL)
    assert done(runner, small) == []  # the other is under way
    runner.results.finish(LARGE)
    (path,) = done(runner, large)
    assert path.kind == "path"


def test_a_published_run_without_weights_needs_no_training_where_all_is_measured():
    runner = make([SMALL], [SHARP])
    runner.results.finish(SMALL, files=())
    runner.results.taken[("batch 10",), "sharpness"] = {"value": 1.0}
    assert runner._work() == []


def test_a_run_is_trained_by_one_job_at_a_time():
    runner = make([SMALL, LARGE], [SHARP])
    runner.results.finish(SMALL)
    runner.results.corrupt.add(("batch 10", "final"))
    large, small = runner._work()
    assert keys([large, small]) == ["train batch 100 1", "train batch 10 1"]
    runner.results.finish(LARGE)
    assert done(runner, large) == []  # the damaged run is absent now, and under way


def test_a_run_that_comes_back_damaged_is_trained_twice_and_then_given_up(monkeypatch):
    runner = make([SMALL], [SHARP])

    class Engine:
        def __init__(self, jobs, threads):
            self.log = []

        def run(self, jobs, *, on_done, on_failed, progress):
            jobs = list(jobs)
            while jobs:
                job = jobs.pop(0)
                self.log.append(job.key)
                runner.results.finish(SMALL)
                runner.results.corrupt.add(("batch 10", "final"))
                jobs += on_done(job, {"status": "finished", "warnings": [f"warning {len(self.log)}"]})
            assert self.log == ["train batch 10 1", "train batch 10 2"]
            return Summary()

    monkeypatch.setattr(runner_module, "LocalEngine", Engine)
    runner.run(1, 1, Progress(silent=True))
    assert runner.warnings == ["warning 1", "warning 2"]
    assert [trial.label for trial in runner.pending()] == ["batch 10"]


def test_a_measurement_that_could_not_be_taken_is_a_failure(monkeypatch):
    runner = make([SMALL], [SHARP])
    runner.results.finish(SMALL, files=())  # and training again brings nothing back

    class Engine:
        def __init__(self, jobs, threads):
            pass

        def run(self, jobs, *, on_done, on_failed, progress):
            for job in jobs:
                assert on_done(job, {"status": "finished", "warnings": []}) != [] or job.key.endswith("2")
            return Summary()

    monkeypatch.setattr(runner_module, "LocalEngine", Engine)
    runner.run(1, 1, Progress(silent=True))
    assert runner.failures == {
        "sharpness of final (0.001): batch 10": "not taken, as its weights are not at hand; start again"
    }


def test_the_end_of_a_diverged_run_is_not_measured_but_what_it_kept_on_its_way_is():
    early = Measure("sharpness", ((SMALL, "loss-1"),))
    lost = Measure("sharpness", ((SMALL, "loss-0.1"),))
    runner = make([SMALL], [SHARP, early, lost])
    runner.results.finish(SMALL, kept=("final", "loss-1"), status="diverged")
    assert runner.pending_measures() == [early]


@pytest.mark.parametrize(("retry", "again"), [(False, []), (True, ["train batch 10 1"])])
def test_a_failed_run_is_tried_again_only_when_asked_and_once(retry, again):
    runner = make([SMALL, LARGE], retry=retry)
    runner.results.failed.add("batch 10")
    assert keys(runner._work()) == [*again, "train batch 100 1"]
    assert runner.given_up() == ([] if retry else ["batch 10"])
    runner._on_failed(Job("train batch 10 1", "train", "batch 10", {"id": "batch 10"}), "Traceback")
    assert runner.failures == {"batch 10": "Traceback"}
    assert runner.given_up() == ["batch 10"]
    assert runner._work() == []


def test_two_trials_of_one_run_are_measured_once():
    same = Trial("paper", "net", "demo", 0, (("batch", 10.0), ("width", 1)), label="batch 10")
    runner = make([SMALL, same], [SHARP, Measure("sharpness", ((same, "final"),), SHARP.options)])
    runner.results.finish(SMALL)
    assert len(runner.pending_measures()) == 1


def test_runs_that_follow_from_others_are_trained_once_those_are_done():
    results = Results()

    def then(plan, results):
        return [LARGE] if results.run(SMALL) is not None else []

    artifact = Artifact("fig1", "", "", "figure", lambda _: [SMALL], lambda *_: [], lambda *_: None, then)
    runner = Runner(SimpleNamespace(artifacts=(artifact,)), PLAN, results, {"mode": "offline", "project": "p"})
    assert runner.pending() == [SMALL]
    (first,) = runner._work()
    results.finish(SMALL)
    (second,) = done(runner, first)
    assert (first.label, second.label) == ("batch 10", "batch 100")
    results.finish(LARGE)
    assert done(runner, second) == []
    assert [runner.all_trials[key] for key in runner.all_trials] == [SMALL, LARGE]
