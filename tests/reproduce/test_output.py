"""The files of a command, and what a narrower command after it keeps."""

import json
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from reproduce import drawing, output
from reproduce.claims import Claim, read_claims
from reproduce.study import Artifact, Plan, Trial

CURVES = pd.DataFrame(
    {"step": [0, 1], "epoch": [0.0, 0.1], "examples": [0, 8], "metric": "train_loss", "value": [2.3, 1.1]}
)
NETWORKS = {"demo": {"net": 3, "other": 3}}


def figure(name, plan):
    picture, axis = plt.subplots()
    axis.plot([1, 2])
    plt.close(picture)
    return picture, pd.DataFrame({"seeds": [plan.seeds[plan.networks[0]]]})


def table(plan):
    frame = pd.DataFrame({"network": list(plan.networks), "value": 1.5})
    return drawing.plain_table(frame), frame


DRAW = {"fig1": lambda plan: figure("fig1", plan), "fig2": lambda _: None, "fig3": lambda _: 1 / 0, "table1": table}


def artifact(name):
    kind = "table" if name.startswith("table") else "figure"
    return Artifact(name, f"title {name}", "caption", kind, list, lambda *_: [], lambda plan, _: DRAW[name](plan))


def claim(name, verdict="inconclusive"):
    return Claim(name, f"statement of {name}", "Table 1", None, 1.0, (0.5, 1.5), 3, "rule", verdict, "demo")


STUDY = SimpleNamespace(
    name="paper", title="Title", citation="Somebody 2017", networks=NETWORKS,
    artifacts=tuple(map(artifact, ("table1", "fig1", "fig2", "fig3"))),
    claims=lambda plan, _: [claim(f"{name}-{net}") for name in plan.artifacts for net in plan.networks],
    notes=lambda plan: [f"note on {' and '.join(plan.networks)}"],
)  # fmt: skip


def command(folder, *names, networks=("net", "other"), seeds=3, runs=("a", "b"), not_run=None, study=STUDY):
    """Write what a command writes that was asked for `names` and `networks`."""
    trials = {run: Trial("paper", "net", "demo", index, label=f"label {run}") for index, run in enumerate(runs)}
    run = SimpleNamespace(
        status="finished", published=False, record={"seconds": 2.0}, outcome={"epochs": 3, "stop_reason": "budget"}
    )
    results = SimpleNamespace(run=lambda _: run, curves=lambda _: CURVES)
    plan = Plan("paper", "demo", networks, dict.fromkeys(networks, seeds), not_run or {}, names)
    runner = SimpleNamespace(study=study, plan=plan, results=results, failures={}, all_trials=trials)
    claims, manifest = output.write(runner, folder, 2)
    assert json.loads((folder / "manifest.json").read_text()) == manifest
    return claims, manifest, runner.failures


WHOLE = ("table1", "fig1", "fig2", "fig3")


def test_figures_tables_claims_runs_and_a_manifest(tmp_path):
    claims, manifest, failures = command(tmp_path, *WHOLE, not_run={"C1": "too large"})
    assert manifest["figures"] == [
        {
            "name": "fig1", "title": "title fig1", "caption": "caption", "pdf": "figures/fig1.pdf",
            "png": "figures/fig1.png", "csv": "figures/fig1.csv",
        }
    ]  # fmt: skip
    assert [entry["tex"] for entry in manifest["tables"]] == ["tables/table1.tex"]
    for entry in manifest["figures"] + manifest["tables"]:
        assert all((tmp_path / entry[key]).stat().st_size for key in ("pdf", "png", "tex", "csv") if key in entry)
    assert manifest["not_drawn"] == ["fig2", "fig3"]
    assert manifest["not_run"] == ["C1: too large"]
    assert manifest["seeds"] == {"net": 3, "other": 3}
    assert [run["id"] for run in manifest["runs"]] == ["a", "b"]
    assert read_claims(tmp_path / "claims.json") == claims
    assert list(failures) == ["drawing of fig3"]
    assert "ZeroDivisionError" in (tmp_path / "failures.txt").read_text()
    runs = pd.read_csv(tmp_path / "runs.csv")
    assert list(runs.columns) == ["run", "label", "seed", "step", "epoch", "examples", "metric", "value"]
    assert runs["run"].tolist() == ["a", "a", "b", "b"]


@pytest.fixture
def before(tmp_path):
    """A folder in which the whole study has been written."""
    command(tmp_path, *WHOLE, not_run={"C1": "too large"})
    return tmp_path


def test_a_narrower_command_keeps_what_it_was_not_asked_for(before):
    claims, manifest, _ = command(before, "fig1", networks=("net",), seeds=1, runs=("b", "c"))
    assert [each.id for each in claims] == ["fig1-net"]
    assert [entry["name"] for entry in manifest["tables"] + manifest["figures"]] == ["table1", "fig1"]
    assert len(read_claims(before / "claims.json")) == 8
    assert [run["id"] for run in manifest["runs"]] == ["a", "b", "c"]
    assert pd.read_csv(before / "runs.csv")["run"].unique().tolist() == ["a", "b", "c"]
    assert manifest["seeds"] == {"net": 3, "other": 3}
    assert manifest["not_run"] == ["C1: too large"]
    assert manifest["notes"][:-1] == ["note on net and other", "note on net"]
    assert manifest["notes"][-1] == "Of 3 trainings these ended: 3 by “budget”."
    assert not (before / "failures.txt").exists()  # this command had none


def test_the_whole_again_starts_from_nothing(before):
    command(before, "fig1", networks=("net",), runs=("c",))
    _, manifest, _ = command(before, *WHOLE, seeds=1)
    assert [run["id"] for run in manifest["runs"]] == ["a", "b"]
    assert (manifest["seeds"], manifest["not_run"]) == ({"net": 1, "other": 1}, [])
    assert manifest["notes"] == ["note on net and other", "Of 2 trainings these ended: 2 by “budget”."]


def test_what_has_been_run_by_now_is_not_named_as_not_run(before):
    command(before, "table1", networks=("net",), not_run={"other": "data are missing"})
    _, manifest, _ = command(before, "table1", networks=("other",))
    assert manifest["not_run"] == ["C1: too large"]


def test_a_figure_whose_files_are_gone_is_not_listed(before):
    (before / "figures" / "fig1.pdf").unlink()
    _, manifest, _ = command(before, "table1")
    assert manifest["figures"] == []


def test_a_figure_that_the_study_no_longer_has_is_not_listed(before):
    study = SimpleNamespace(**{**vars(STUDY), "artifacts": STUDY.artifacts[1:]})
    _, manifest, _ = command(before, "fig2", study=study)
    assert [entry["name"] for entry in manifest["tables"] + manifest["figures"]] == ["fig1"]


@pytest.mark.parametrize("name", ["manifest.json", "claims.json", "runs.csv"])
def test_a_damaged_file_is_written_anew(name, before):
    (before / name).write_text("{")
    claims, manifest, _ = command(before, "table1", networks=("net",), runs=("c",))
    assert claims[0] in read_claims(before / "claims.json")
    assert "c" in pd.read_csv(before / "runs.csv")["run"].tolist()
    assert manifest["tables"][0]["name"] == "table1"


def test_without_runs_the_files_are_there_and_empty(tmp_path):
    _, manifest, _ = command(tmp_path, "fig2", runs=())
    assert (manifest["runs"], manifest["figures"]) == ([], [])
    assert pd.read_csv(tmp_path / "runs.csv").empty
