"""What W&B is given, read back with its own reader."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import wandb

from reproduce import tracking
from reproduce.atomic import sha256
from reproduce.store import Store

METRICS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
READER = Path(wandb.__file__).parent / "bin" / "wandb-core"


def read(path):
    """The records of a `.wandb` file, by type."""
    command = [str(READER), "leet", "inspect", "--no-observability", "--json", "--run-file", str(path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found = {}
    for record in map(json.loads, lines):
        found.setdefault(record["type"], []).append(record[record["type"]])
    return found


@pytest.fixture(scope="module")
def logged(studied):
    """W&B id -> the records of each of its offline files, in order of time."""
    found = {}
    for path in sorted(studied.glob("wandb/offline-run-*/run-*.wandb")):
        found.setdefault(path.stem.removeprefix("run-"), []).append(read(path))
    return found


@pytest.fixture(scope="module")
def manifest(studied):
    return json.loads((studied / "keskar" / "demo" / "manifest.json").read_text())


def test_there_is_one_wandb_run_for_each_training_and_one_for_the_study(logged, manifest):
    runs = {run["id"] for run in manifest["runs"]}
    assert runs < set(logged)
    assert len(logged) == len(runs) + 1
    for key in runs:
        trained, measured = logged[key]
        for records in (trained, measured):
            (run,) = records["run"]
            assert (run["project"], run["run_group"], sorted(run["tags"])) == ("bsgap", "keskar", ["demo", "small"])


def test_a_training_has_its_configuration_and_its_curves(logged, manifest, studied):
    for run in (Store(studied).run(run["id"]) for run in manifest["runs"]):
        records, _ = logged[run.id]
        config = records["run"][0]["config"]["update"]
        assert config["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 0.01
        assert config["data"]["init_args"]["batch_size"] == run.config["data"]["init_args"]["batch_size"]
        items = [entry["item"] for entry in records["history"]]
        got = [(item["_step"], item["epoch"], name, item[name]) for item in items for name in item if name in METRICS]
        curves = (run.metrics()[name] for name in ("step", "epoch", "metric", "value"))
        assert sorted(got) == sorted(zip(*curves, strict=True))


def test_measurements_come_into_the_summary_of_the_same_run(logged, manifest, studied):
    key = next(run["id"] for run in manifest["runs"] if run["label"] == "small, batch 10, seed 0")
    (_, records) = logged[key]
    summary = {name: value for update in records["summary"] for name, value in update["update"].items()}
    taken = [json.loads(path.read_text()) for path in (studied / "runs" / key / "measurements").iterdir()]
    alone = {"kind": "sharpness", "weights": ["final"], "epsilon": 0.001, "maximiser": "sign"}
    (sharp,) = [entry["result"] for entry in taken if entry["specification"] == alone]
    assert summary["sharpness/final (epsilon=0.001, maximiser=sign)"] == sharp["value"]
    (right,) = [e["result"] for e in taken if e["specification"] == {"kind": "evaluation", "weights": ["final"]}]
    assert summary["evaluation/final/test_accuracy"] == right["test_accuracy"]
    (far,) = [entry["result"] for entry in taken if entry["specification"]["kind"] == "distance"]
    assert summary["distance/final"] == far["distance"]


def test_the_study_has_its_figures_as_images_and_its_verdicts(logged, manifest, studied):
    (study,) = set(logged) - {run["id"] for run in manifest["runs"]}
    (records,) = logged[study]
    run = records["run"][0]
    assert (run["display_name"], sorted(run["tags"])) == ("keskar demo", ["demo", "study"])
    assert run["config"]["update"]["seeds"] == {"small": 2}
    (history,) = records["history"]
    (folder,) = studied.glob(f"wandb/offline-run-*-{study}")
    for entry in manifest["figures"]:
        assert history["item"][f"{entry['name']}._type"] == "image-file"
        path = history["item"][f"{entry['name']}.path"]
        assert sha256(folder / "files" / path) == sha256(studied / "keskar" / "demo" / entry["png"])
    table = json.loads((folder / "files" / history["item"]["claims.path"]).read_text())
    assert table["columns"] == ["claim", "reported", "measured", "n_seeds", "rule", "verdict"]
    assert len(table["data"]) == 9


def offline(out):
    return {path.name for path in (out / "wandb").glob("offline-run-*")}


def test_given_again_nothing_is_sent_again_and_what_is_new_is(copied):
    before = offline(copied.out)
    engine = copied.inline()
    assert copied("--figure", "distance", seeds=2, wandb="offline")[0] == 0
    (study,) = offline(copied.out) - before  # other figures: another study
    assert copied("--figure", "distance", seeds=2, wandb="offline")[0] == 0
    assert offline(copied.out) == before | {study}
    assert engine.log == []


def test_disabled_leaves_nothing(command):
    command.inline()
    assert command("--figure", "distance", wandb="disabled")[0] == 0
    assert not list(command.folder.rglob("*wandb*"))


def test_a_failing_wandb_fails_nothing_and_is_named(copied, monkeypatch):
    def refuse(**_):
        raise OSError("the disk\nis full")

    shutil.rmtree(copied.out / "wandb")
    monkeypatch.setattr(wandb, "init", refuse)
    code, out, _ = copied("--figure", "distance", seeds=2, wandb="offline")
    assert code == 0
    assert out.splitlines()[-1] == "W&B is left out: W&B is left out of this run: OSError: the disk is full"
    assert (copied.out / "keskar" / "demo" / "figures" / "distance.png").exists()


def test_online_without_an_account_stays_offline_and_says_so(monkeypatch):
    def refuse(**_):
        raise wandb.errors.UsageError("api_key not configured (no-tty).")

    monkeypatch.setattr(wandb, "login", refuse)
    mode, problem = tracking.usable_mode("online")
    assert mode == "offline"
    assert problem.startswith("W&B stays offline (api_key not configured (no-tty).)")
    monkeypatch.setattr(wandb, "login", lambda **_: True)
    assert tracking.usable_mode("online") == ("online", None)
    assert tracking.usable_mode("disabled") == ("disabled", None)
