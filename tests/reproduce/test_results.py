import math
from dataclasses import replace

import pytest
import tiny

from reproduce import recipes
from reproduce.identity import run_id
from reproduce.papers.keskar import trials
from reproduce.published import publish_runs
from reproduce.results import Results, unique
from reproduce.store import Store
from reproduce.study import Measure, Plan, Trial

PLAN = Plan("keskar", "demo", ("small",), {"small": 2}, {}, ("table2",))


@pytest.fixture
def results(studied, command):
    """The view of the studied results."""
    return Results(Store(studied))


@pytest.fixture
def small(results):
    return trials.main(PLAN, "small", "SB", 0)


def test_a_trial_has_its_run_its_curves_and_its_weights(results, small):
    run = results.run(small)
    assert run.id == results.id(small)
    assert set(results.kept(small)) == {"initial", "final", "epoch-1", "epoch-2", "loss-3", "loss-2", "loss-1.5"}
    assert results.curves(small)["epoch"].max() == tiny.RECIPE["trainer"]["max_epochs"]
    assert results.weights(small, "epoch-1") == run.folder / "weights" / "epoch-1.pt"
    assert results.weights(small, "epoch-30") is None


def test_what_is_not_there_is_none(results):
    absent = trials.main(PLAN, "small", "SB", 7)
    assert results.run(absent) is results.curves(absent) is results.weights(absent, "final") is None
    assert results.kept(absent) == {}
    assert results.measured(trials.evaluation(PLAN, "small", absent)) is None
    assert results.value(trials.evaluation(PLAN, "small", absent), "test_accuracy") is None
    assert results.value(None, "value") is None


def test_a_value_is_one_number_of_a_measurement(results, small):
    measure = trials.evaluation(PLAN, "small", small)
    assert results.value(measure, "test_accuracy") == results.measured(measure)["test_accuracy"]


def test_where_a_diverged_run_ended_is_no_number(results, small, monkeypatch):
    monkeypatch.setattr(results, "diverged", lambda trial: trial == small)
    assert math.isnan(results.value(trials.evaluation(PLAN, "small", small), "test_accuracy"))
    assert math.isnan(results.value(trials.travelled(PLAN, "small", "SB", 0), "distance"))
    assert results.value(trials.evaluation(PLAN, "small", small, "epoch-1"), "test_accuracy") > 0
    assert results.value(trials.evaluation(PLAN, "small", trials.main(PLAN, "small", "LB", 0)), "test_accuracy") > 0


def test_a_measurement_is_remembered_until_its_run_is_forgotten(results, small, monkeypatch):
    near, far = (Measure("distance", ((small, "initial"), (small, name))) for name in ("epoch-1", "final"))
    asked = []
    monkeypatch.setattr(results.store, "measurement", lambda ids, _: asked.append(ids) or {"distance": 1.0})
    for measure in (near, far, near, far):
        assert results.measured(measure) == {"distance": 1.0}
    assert len(asked) == 2
    results.forget(trials.main(PLAN, "small", "LB", 0))
    results.measured(near)
    assert len(asked) == 2
    results.forget(small)
    results.measured(near)
    assert len(asked) == 3


def test_ids_depend_on_what_decides_the_numbers_and_on_nothing_else(results, small):
    assert results.id(replace(small, keep_epochs=(7,), label="another", seconds=3.0)) == results.id(small)
    assert results.id(replace(small, seed=1)) != results.id(small)
    assert results.id(trials.main(PLAN, "small", "LB", 0)) != results.id(small)


def test_the_id_of_a_warm_start_depends_on_its_source_and_on_the_weights_name(results):
    plan = replace(PLAN, seeds={"small": 2})
    first, second = (trials.warm(plan, "small", epoch, 0) for epoch in (1, 2))
    other = replace(first, start=(trials.main(PLAN, "small", "SB", 1), "epoch-1"))
    cold = replace(first, start=None)
    assert len({results.id(trial) for trial in (first, second, other, cold)}) == 4
    source = results.id(first.start[0])
    weights = results.config(first)["model"]["init_args"]["initial_weights"]
    assert weights.endswith(f"runs/{source}/weights/epoch-1.pt")


def test_the_place_of_the_store_does_not_matter_to_a_warm_starts_id(results, tmp_path):
    trial = trials.warm(PLAN, "small", 1, 0)
    assert Results(Store(tmp_path / "elsewhere")).id(trial) == results.id(trial)


def test_a_configuration_keeps_what_the_trial_keeps(results, small):
    assert results.config(small)["keep"]["epochs"] == list(tiny.STARTS)
    assert results.config(replace(small, keep_epochs=(5,)))["keep"]["epochs"] == [5]
    assert results.config(small)["keep"]["epochs"] == list(tiny.STARTS)


def test_trials_of_one_run_are_one_that_keeps_what_any_keeps(results, small):
    again = replace(small, keep_epochs=(9, 1), overrides=(*small.overrides, ("trainer.max_epochs", 3)))
    large = trials.main(PLAN, "small", "LB", 0)
    found = unique([small, large, again], results)
    assert found == [small, large]
    assert found[0].keep_epochs == (1, 2, 9, 30)


def test_recipes_are_resolved_once(results, small, monkeypatch):
    results.config(small)
    monkeypatch.setattr(recipes, "files", None)
    Results(results.store).config(small)


def test_without_the_data_a_published_run_on_a_subset_of_them_is_found(tmp_path):
    trial = Trial("golmant", "resnet34-cifar100", "laptop", 0)
    config = recipes.configuration(trial)
    publisher = Store(tmp_path / "elsewhere")
    key = run_id(config, "of a subset")
    folder = publisher.open(key, config, "of a subset")
    (folder / "metrics.csv").write_text("step,epoch,examples,metric,value\n0,0,0,train_loss,4.6\n")
    publisher.finish(key, "finished", {"kept": {}})
    publish_runs(publisher, [key], tmp_path / "published")
    here = Results(Store(tmp_path / "here", [tmp_path / "published"]), str(tmp_path / "no data"))
    assert here.id(trial) == key
    assert here.run(trial).published
    other = replace(trial, seed=1)
    assert here.id(other) == run_id(recipes.configuration(other), here.fingerprint("cifar100"))
