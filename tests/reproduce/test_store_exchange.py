"""Importing another store's runs, and publishing compact copies."""

import json
import shutil

import pytest
import yaml
from store_cases import CURVES, FINGERPRINT, OUTCOME, config, finished, identifier, train

from bsgap.errors import UsageError
from reproduce import identity
from reproduce.imports import import_runs
from reproduce.published import publish_runs
from reproduce.store import Store

KEY, OTHER = identifier(config()), identifier(config(seed=1))
SHARPNESS, PATH = {"kind": "sharpness", "epsilon": 0.001}, {"kind": "path"}


@pytest.fixture
def cluster(tmp_path):
    """Another store with a finished run, a diverged one and their measurements."""
    store = Store(tmp_path / "cluster")
    finished(store)
    finished(store, config(seed=1), "diverged")
    store.put_measurement([KEY], SHARPNESS, {"value": 3.0}, 1)
    store.put_measurement([KEY, OTHER], PATH, {"losses": [1, 2]}, 1)
    return store


@pytest.fixture
def here(tmp_path):
    return Store(tmp_path / "here")


def rewrite(store, key, **changes):
    path = store.path(key) / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# Import


@pytest.mark.parametrize("inside", ["", "runs"])
def test_finished_runs_come_with_weights_and_measurements(cluster, here, inside):
    found = import_runs(here, cluster.root / inside)
    assert (sorted(found.imported), found.skipped, found.refused) == (sorted([KEY, OTHER]), [], {})
    assert (here.status(KEY), here.status(OTHER)) == ("finished", "diverged")
    run = here.run(KEY)
    assert run.weights("final").read_bytes() == cluster.run(KEY).weights("final").read_bytes()
    assert run.record == cluster.run(KEY).record
    assert here.measurement([KEY], SHARPNESS) == {"value": 3.0}
    assert here.measurement([KEY, OTHER], PATH) == {"losses": [1, 2]}


def test_a_second_import_takes_only_new_measurements(cluster, here):
    import_runs(here, cluster.root)
    assert sorted(import_runs(here, cluster.root).skipped) == sorted([KEY, OTHER])
    cluster.put_measurement([OTHER], SHARPNESS, {"value": 4.0}, 1)
    assert import_runs(here, cluster.root).imported == []
    assert here.measurement([OTHER], SHARPNESS) == {"value": 4.0}


def test_corrupt_and_unfinished_runs_are_refused_by_name(cluster, here):
    weights = cluster.path(KEY) / "weights" / "final.pt"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")  # of the right size
    cluster.open(OTHER, config(seed=1), FINGERPRINT, again=True)
    found = import_runs(here, cluster.root)
    assert found.imported == []
    assert "digest of weights/final.pt" in found.refused[KEY]
    assert "running, not finished" in found.refused[OTHER]
    assert here.ids() == []


def test_an_id_that_is_not_that_of_the_config_is_refused(cluster, here):
    rewrite(cluster, KEY, fingerprint="other data")
    found = import_runs(here, cluster.root)
    assert found.imported == [OTHER]
    assert "its config is that of run" in found.refused[KEY]


def test_another_protocol_is_refused(cluster, here, monkeypatch):
    monkeypatch.setattr(identity, "PROTOCOL", identity.PROTOCOL + 1)
    found = import_runs(here, cluster.root)
    assert f"its protocol is {identity.PROTOCOL - 1}" in found.refused[KEY]


def test_a_half_done_run_here_gives_way(cluster, here):
    here.open(KEY, config(), FINGERPRINT)
    (here.path(KEY) / "last.ckpt").write_bytes(b"half")
    import_runs(here, cluster.root)
    assert here.is_done(KEY, ["final"])
    assert not (here.path(KEY) / "last.ckpt").exists()


def test_a_run_that_is_being_trained_here_is_left_alone(cluster, here):
    with Store(here.root).claim(KEY):
        found = import_runs(here, cluster.root)
    assert (found.imported, found.refused) == ([OTHER], {KEY: "another process works on this run here"})


def test_foreign_names_and_files_stay_out(cluster, here):
    shutil.copytree(cluster.path(KEY), cluster.root / "runs" / "not-an-id")
    (cluster.path(OTHER) / "extra.sh").write_text("echo")
    found = import_runs(here, cluster.root)
    assert list(found.refused) == ["not-an-id"]
    assert not (here.path(OTHER) / "extra.sh").exists()
    assert sorted(path.name for path in (here.root / "runs").iterdir()) == sorted([KEY, OTHER])


def test_a_corrupt_measurement_does_not_keep_its_run_out(cluster, here):
    for path in (cluster.path(KEY) / "measurements").iterdir():
        path.write_text("{")
    found = import_runs(here, cluster.root)
    assert KEY in found.imported
    assert here.measurement([KEY], SHARPNESS) is None
    assert len(here.warnings) == 2


def test_nothing_to_import_is_said(here, tmp_path):
    with pytest.raises(UsageError, match="no runs in"):
        import_runs(here, tmp_path / "nowhere")
    finished(here)
    with pytest.raises(UsageError, match="the store itself"):
        import_runs(here, here.root)


# Publish


def test_published_runs_are_done_and_have_no_weights(cluster, tmp_path):
    folder = tmp_path / "published"
    assert publish_runs(cluster, [KEY, OTHER, KEY], folder) == [KEY, OTHER]
    store = Store(tmp_path / "clone", [folder])
    assert (store.status(KEY), store.status(OTHER)) == ("finished", "diverged")
    assert sorted(store.ids()) == sorted([KEY, OTHER])
    run = store.run(KEY)
    assert run.published
    assert run.outcome == cluster.run(KEY).outcome
    assert (run.kept, run.weights("final")) == ((), None)
    assert not store.is_done(KEY, ["final"])
    assert store.measurement([KEY], SHARPNESS) == {"value": 3.0}
    assert store.measurement([KEY, OTHER], PATH) == {"losses": [1, 2]}
    assert not store.root.exists()


def test_published_curves_have_six_digits(cluster, tmp_path):
    publish_runs(cluster, [KEY], tmp_path / "published")
    text = (tmp_path / "published" / "runs" / KEY / "metrics.csv").read_text()
    assert text == ("step,epoch,examples,metric,value\n0,0,0,train_loss,2.30259\n8,1,512,train_loss,0.123457\n")


def test_published_copies_name_no_place_and_keep_the_id(tmp_path, here):
    weights = tmp_path / "here" / "runs" / KEY / "weights" / "final.pt"
    settings = config(initial_weights=str(weights)) | {"ckpt_path": str(weights), "wandb": {"entity": "somebody"}}
    settings["trainer"] |= {"default_root_dir": str(tmp_path)}
    finished(here, config())
    key = finished(here, settings)
    publish_runs(here, [key], tmp_path / "published")
    folder = tmp_path / "published" / "runs" / key
    text = "".join(path.read_text() for path in folder.iterdir())
    assert str(tmp_path) not in text
    assert "/data" not in text
    assert "somebody" not in text
    compact = yaml.safe_load((folder / "config.yaml").read_text())
    assert identifier(compact) == key
    assert compact["model"]["init_args"]["initial_weights"] == f"{KEY}/final"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 8000
    assert import_runs(Store(tmp_path / "third"), tmp_path / "published").imported == [key]


def test_publishing_twice_adds_new_measurements(cluster, tmp_path):
    folder = tmp_path / "published"
    publish_runs(cluster, [KEY, OTHER], folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")}
    assert publish_runs(cluster, [KEY, OTHER], folder) == []
    cluster.put_measurement([OTHER], SHARPNESS, {"value": 5.0}, 1)
    assert publish_runs(cluster, [KEY, OTHER], folder) == [OTHER]
    assert Store(tmp_path / "clone", [folder]).measurement([OTHER], SHARPNESS) == {"value": 5.0}
    assert before.items() <= {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")}.items()


def test_a_clone_measures_published_runs_and_publishes_that(cluster, tmp_path):
    folder = tmp_path / "published"
    publish_runs(cluster, [KEY, OTHER], folder)
    clone = Store(tmp_path / "clone", [folder])
    clone.put_measurement([OTHER], SHARPNESS, {"value": 6.0}, 1)
    assert clone.status(OTHER) == "diverged"
    assert clone.run(OTHER).published
    assert publish_runs(clone, [KEY, OTHER], folder) == [OTHER]
    assert Store(tmp_path / "second", [folder]).measurement([OTHER], SHARPNESS) == {"value": 6.0}


def test_the_local_run_counts_before_the_published_one(cluster, tmp_path):
    folder = tmp_path / "published"
    publish_runs(cluster, [KEY, OTHER], folder)
    clone = Store(tmp_path / "clone", [folder])
    clone.open(KEY, config(), FINGERPRINT)
    assert clone.status(KEY) == "finished"  # published, while the local one is only half done
    train(clone.path(KEY))
    clone.finish(KEY, "finished", OUTCOME)
    assert not clone.run(KEY).published
    assert clone.is_done(KEY, ["final"])
    assert clone.measurement([KEY], SHARPNESS) == {"value": 3.0}  # the same numbers, so it holds


def test_measurements_of_another_training_are_not_mixed_in(cluster, tmp_path):
    folder = tmp_path / "published"
    publish_runs(cluster, [KEY, OTHER], folder)
    clone = Store(tmp_path / "clone", [folder])
    finished(clone, config(), curves=CURVES.replace("2.30", "2.31"))  # another machine, other bits
    assert clone.measurement([KEY], SHARPNESS) is None
    assert clone.measurement([KEY, OTHER], PATH) is None
    assert publish_runs(clone, [KEY], folder) == [KEY]
    published = folder / "runs" / KEY
    assert "2.31" in (published / "metrics.csv").read_text()
    assert not (published / "measurements").exists()


def test_a_corrupt_published_run_is_named_left_alone_and_not_used(cluster, tmp_path):
    folder = tmp_path / "published"
    publish_runs(cluster, [KEY], folder)
    path = folder / "runs" / KEY / "metrics.csv"
    path.write_text("short")
    clone = Store(tmp_path / "clone", [folder])
    assert clone.status(KEY) == "absent"
    assert clone.status(KEY) == "absent"
    (warning,) = clone.warnings
    assert "published run" in warning
    assert path.read_text() == "short"
    assert publish_runs(cluster, [KEY], folder) == [KEY]
    assert clone.status(KEY) == "finished"


def test_only_done_runs_are_published(here, tmp_path):
    with pytest.raises(UsageError, match="absent, expected a finished one"):
        publish_runs(here, [KEY], tmp_path / "published")
    finished(here)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        publish_runs(here, [KEY], tmp_path / "file")
