"""The whole command on the tiny study."""

import json
import shutil

import pandas as pd
import pytest

from bsgap import cli
from bsgap.callbacks import resume
from bsgap.errors import Interrupted as RunInterrupted
from reproduce import commands, worker
from reproduce.atomic import sha256
from reproduce.claims import read_claims
from reproduce.engines.jobs import Interrupted
from reproduce.papers import keskar
from reproduce.store import Store

NAMES = [artifact.name for artifact in keskar.STUDY.artifacts]
FIGURES = [artifact.name for artifact in keskar.STUDY.artifacts if artifact.kind == "figure"]
TABLES = [artifact.name for artifact in keskar.STUDY.artifacts if artifact.kind == "table"]
LABEL = "small, batch 20, seed 1"
RUNS = 8  # two batch sizes and two warm starts, for two seeds


def records(out):
    """Run id -> its record."""
    return {path.parent.name: json.loads(path.read_text()) for path in out.glob("runs/*/run.json")}


def id_of(out, label):
    manifest = json.loads((out / "keskar" / "demo" / "manifest.json").read_text())
    return next(run["id"] for run in manifest["runs"] if run["label"] == label)


def numbers(out):
    """Digests of everything that does not say when or how fast: curves, claims, and what is drawn."""
    files = [*out.glob("runs/*/metrics.csv"), *out.glob("keskar/demo/**/*.csv"), *out.glob("keskar/demo/**/*.png")]
    return {str(path.relative_to(out)): sha256(path) for path in [*files, out / "keskar" / "demo" / "claims.json"]}


def test_the_command_writes_figures_tables_claims_runs_and_a_manifest(studied):
    folder = studied / "keskar" / "demo"
    assert {path.name for path in (folder / "figures").iterdir()} == {
        f"{name}.{kind}" for name in FIGURES for kind in ("pdf", "png", "csv")
    }
    assert {path.name for path in (folder / "tables").iterdir()} == {
        f"{name}.{kind}" for name in TABLES for kind in ("tex", "csv")
    }
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [entry["name"] for entry in manifest["tables"] + manifest["figures"]] == TABLES + FIGURES
    assert (manifest["seeds"], manifest["jobs"], manifest["not_drawn"]) == ({"small": 2}, 1, [])
    assert [run["status"] for run in manifest["runs"]] == ["finished"] * RUNS
    claims = read_claims(folder / "claims.json")
    assert len(claims) == len({claim.id for claim in claims}) == 9
    assert {claim.verdict for claim in claims} == {"inconclusive"}  # two seeds
    assert {claim.n_seeds for claim in claims} == {2}
    assert not (folder / "failures.txt").exists()


def test_runs_csv_has_every_run_metric_and_step(studied):
    runs = pd.read_csv(studied / "keskar" / "demo" / "runs.csv")
    assert runs["run"].nunique() == RUNS
    for key in records(studied):
        stored = pd.read_csv(studied / "runs" / key / "metrics.csv")
        mine = runs[runs["run"] == key][list(stored.columns)].reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, stored)


def test_given_again_it_trains_and_measures_nothing_and_draws_the_same(copied, monkeypatch):
    monkeypatch.setattr("reproduce.runner.LocalEngine", None)  # it is not even started
    before = numbers(copied.out), records(copied.out)
    code, out, _ = copied(seeds=2)
    assert code == 0
    assert f"{RUNS + 2} runs: {RUNS} done, 0 to train, 2 without a start" in out  # both starts at epoch 30
    assert (numbers(copied.out), records(copied.out)) == before


def test_a_dry_run_prints_the_plan_and_writes_nothing(command):
    before = sorted(command.folder.rglob("*"))
    code, out, _ = command("--dry-run", seeds=2)
    assert code == 0
    assert "10 runs: 0 done, 10 to train; about" in out
    assert sorted(command.folder.rglob("*")) == before


def test_another_figure_trains_only_what_is_new_and_keeps_what_is_there(command):
    engine = command.inline()
    assert command("--figure", "table2", "fig2")[0] == 0
    assert engine.trained() == ["small, batch 10, seed 0", "small, batch 20, seed 0"]
    folder = command.out / "keskar" / "demo"
    judged = [claim.id for claim in read_claims(folder / "claims.json")]
    assert judged == ["keskar-gap-small", "keskar-no-peak-small"]

    engine.log.clear()
    code, out, _ = command("--figure", "fig5")
    assert code == 0
    assert "5 runs: 2 done, 2 to train, 1 without a start, as the run they start from ended before; about" in out
    assert engine.trained() == [f"small, large batch from epoch {epoch} of small, seed 0" for epoch in (1, 2)]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [entry["name"] for entry in manifest["tables"] + manifest["figures"]] == ["table2", "fig2", "fig5"]
    assert len(manifest["runs"]) == pd.read_csv(folder / "runs.csv")["run"].nunique() == 4
    ids = [claim.id for claim in read_claims(folder / "claims.json")]
    assert ids == [*judged, "keskar-warm-accuracy-small", "keskar-warm-sharpness-small"]


def test_a_failed_run_keeps_its_traceback_and_is_tried_again_only_when_asked(command):
    engine = command.inline()

    def fail(job):
        if job.label == "small, batch 20, seed 0":
            raise RuntimeError("the [red]moon[/] was full\nand there is a second line")

    engine.before = fail
    arguments = ("--figure", "table2", "distance")
    code, out, _ = command(*arguments)
    assert code == 1
    assert "failed small, batch 20, seed 0: and there is a second line" in out
    (failed,) = [key for key, record in records(command.out).items() if record["status"] == "failed"]
    assert "Traceback" in (command.out / "runs" / failed / "error.txt").read_text()
    assert "the [red]moon[/] was full" in (command.out / "keskar" / "demo" / "failures.txt").read_text()
    assert [record["status"] for key, record in records(command.out).items() if key != failed] == ["finished"]
    assert sorted(engine.measured()) == [
        "distance of initial: small, batch 10, seed 0",
        "evaluation of final: small, batch 10, seed 0",
    ]

    engine.before = None
    engine.log.clear()
    code, out, _ = command(*arguments)
    assert (code, engine.log) == (1, [])
    assert "1 failed earlier (--retry-failed trains them again)" in out
    assert not (command.out / "keskar" / "demo" / "failures.txt").exists()

    code, out, _ = command("--retry-failed", *arguments)
    assert (code, engine.trained()) == (0, ["small, batch 20, seed 0"])
    assert not (command.out / "runs" / failed / "error.txt").exists()
    assert command(*arguments)[0] == 0


def test_a_failure_when_tried_again_is_not_tried_a_third_time(command):
    engine = command.inline()
    engine.before = lambda job: 1 / 0
    assert command("--figure", "fig2")[0] == 1
    engine.log.clear()
    assert command("--figure", "fig2", "--retry-failed")[0] == 1
    assert sorted(engine.trained()) == ["small, batch 10, seed 0", "small, batch 20, seed 0"]


def test_a_figure_that_cannot_be_drawn_stops_no_other(copied, monkeypatch):
    monkeypatch.setattr("reproduce.drawing.scatter_path", lambda *_: 1 / 0)
    code, out, _ = copied("--figure", "fig6", "distance", seeds=2)
    assert code == 1
    assert "failed drawing of fig6: ZeroDivisionError: division by zero" in out
    manifest = json.loads((copied.out / "keskar" / "demo" / "manifest.json").read_text())
    assert [entry["name"] for entry in manifest["figures"]] == [name for name in FIGURES if name != "fig6"]


def damage_record(run):
    (run / "run.json").write_text('{"status": "finis')


def damage_curves(run):
    text = (run / "metrics.csv").read_text()
    (run / "metrics.csv").write_text(text[: len(text) // 2])


def damage_weights(run):
    content = (run / "weights" / "final.pt").read_bytes()
    (run / "weights" / "final.pt").write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("damage", "named"),
    [(damage_record, "run.json"), (damage_curves, "metrics.csv"), (damage_weights, "weights/final.pt")],
)
def test_a_damaged_run_is_named_set_aside_and_trained_again(damage, named, copied):
    engine, before = copied.inline(), numbers(copied.out)
    key = id_of(copied.out, LABEL)
    damage(copied.out / "runs" / key)
    code, out, _ = copied("--figure", "fig2", "distance", seeds=2)
    assert code == 0
    warned = [line for line in out.splitlines() if "is corrupt" in line]
    assert len(warned) == 1
    assert named in warned[0]
    assert f"set aside in {copied.out / 'corrupt' / key}-1" in warned[0]
    assert engine.trained() == [LABEL]
    assert numbers(copied.out) == before


def test_weights_that_were_altered_are_trained_again_when_a_measurement_needs_them(copied):
    engine, before = copied.inline(), numbers(copied.out)
    run = copied.out / "runs" / id_of(copied.out, LABEL)
    content = bytearray((run / "weights" / "final.pt").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (run / "weights" / "final.pt").write_bytes(bytes(content))
    assert (copied("--figure", "distance", seeds=2)[0], engine.log) == (0, [])  # nothing needs them

    for path in (run / "measurements").iterdir():
        if json.loads(path.read_text())["specification"]["kind"] == "distance":
            path.unlink()
    code, out, _ = copied("--figure", "distance", seeds=2)
    assert (code, engine.trained()) == (0, [LABEL])
    assert "weights/final.pt is not what the run recorded" in out
    assert f"distance of initial: {LABEL}" in engine.measured()
    assert numbers(copied.out) == before


def truncated(folder):
    (folder / "last.ckpt").write_bytes(b"PK\3\4half a checkpoint")


def of_another_recipe(folder):
    config = str(folder / "config.yaml")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(resume, "should_stop", lambda: True)
        with pytest.raises(RunInterrupted):
            cli.BsgapCLI(
                ["fit", "--config", config, f"--trainer.default_root_dir={folder / 'other'}", "--trainer.max_epochs=9"]
            )
    (folder / "other" / "last.ckpt").rename(folder / "last.ckpt")
    shutil.rmtree(folder / "other")


@pytest.mark.parametrize(
    ("leave", "named"),
    [
        (truncated, "last.ckpt is damaged: it is no checkpoint, or only a part of one."),
        (of_another_recipe, "last.ckpt: the checkpoint belongs to another recipe (digest "),
    ],
)
def test_a_resume_point_that_is_none_is_set_aside_and_the_run_trained_from_its_start(leave, named, copied):
    engine, before = copied.inline(), numbers(copied.out)
    run = copied.out / "runs" / id_of(copied.out, LABEL)
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"status": "interrupted"}))
    leave(run)
    (run / "outcome.json").unlink()
    code, out, _ = copied("--figure", "fig2", seeds=2)
    assert (code, engine.trained()) == (0, [LABEL])
    assert named in out
    assert f"set aside in {copied.out / 'corrupt' / run.name}-1" in out
    assert numbers(copied.out) == before


@pytest.fixture
def published(studied, command, monkeypatch, tmp_path_factory):
    """The command, in an empty folder, with the study published beside it."""
    folder = tmp_path_factory.mktemp("published")
    places = ["--scale", "demo", "--to", str(folder), "--out", str(studied)]
    monkeypatch.setitem(keskar.STUDY.networks, "demo", {"small": 2})
    code, out, _ = command.main("publish", "keskar", *places)
    assert code == 0
    assert out.startswith(f"{RUNS} finished runs, {RUNS} of them new or with new measurements, in")
    monkeypatch.setattr(commands, "published_folders", lambda: [folder])
    command.published = folder
    return command


def test_published_results_are_drawn_without_training(published, studied, monkeypatch):
    monkeypatch.setattr("reproduce.runner.LocalEngine", None)
    code, out, _ = published("--figure", "table2", "table3", "fig4", "fig5", "fig6", seeds=2)
    assert code == 0
    assert f"{RUNS} done ({RUNS} of them published)" in out
    drawn, before = numbers(published.out), numbers(studied)
    drawn.pop("keskar/demo/runs.csv")  # published curves have six digits
    drawn.pop("keskar/demo/claims.json")  # fewer figures, fewer claims
    assert len(drawn) == 8
    assert drawn.items() <= before.items()
    assert not (published.out / "runs").exists()


def test_fresh_ignores_published_results(published):
    code, out, _ = published("--fresh", "--dry-run", seeds=2)
    assert code == 0
    assert "10 runs: 0 done, 10 to train" in out


def test_a_published_run_is_trained_again_only_for_weights_that_a_measurement_needs(published, studied):
    engine = published.inline()
    label = "small, large batch from epoch 1 of small, seed 0"  # what it starts from is not at hand either
    source = "small, batch 10, seed 0"
    folder = published.published / "runs" / id_of(studied, label) / "measurements"
    for path in folder.iterdir():
        if json.loads(path.read_text())["specification"]["kind"] == "evaluation":
            path.unlink()
    assert published("--figure", "fig5", seeds=2)[0] == 0
    assert engine.trained() == [source, label]
    assert engine.measured() == [f"evaluation of final: {label}"]
    for each in (source, label):
        key = id_of(published.out, each)
        assert sha256(published.out / "runs" / key / "metrics.csv") == sha256(studied / "runs" / key / "metrics.csv")


def test_import_takes_finished_runs_and_refuses_altered_ones(studied, command, tmp_path_factory, monkeypatch):
    other = tmp_path_factory.mktemp("other") / "results"
    shutil.copytree(studied, other, symlinks=True)
    altered = id_of(studied, LABEL)
    (other / "runs" / altered / "metrics.csv").write_text("step,epoch,examples,metric,value\n")
    code, out, _ = command.main("import", str(other), "--out", str(command.out))
    assert code == 1
    assert f"{RUNS - 1} runs imported, 0 known already, 1 refused" in out
    assert f"refused {altered}: " in out
    code, out, _ = command.main("import", str(studied), "--out", str(command.out))
    assert (code, out) == (0, f"1 runs imported, {RUNS - 1} known already, 0 refused\n")
    monkeypatch.setattr("reproduce.runner.LocalEngine", None)
    assert command("--figure", "fig3", seeds=2)[0] == 0
    png = "keskar/demo/figures/fig3.png"
    assert sha256(command.out / png) == sha256(studied / png)


def test_status_counts_what_is_done_and_names_what_failed(copied, monkeypatch):
    monkeypatch.setitem(keskar.STUDY.networks, "demo", {"small": 2})
    monkeypatch.setattr(commands, "SCALES", ("demo",))
    Store(copied.out).set_aside(id_of(copied.out, LABEL), "test")
    Store(copied.out).fail(id_of(copied.out, LABEL), "Traceback: the moon was full")
    code, out, _ = copied.main("status", "keskar", "--out", str(copied.out))
    assert code == 0
    header, row, failed = [line.split() for line in out.splitlines()]
    assert header == ["paper", "scale", "runs", "done", "published", "running", "interrupted", "failed", "to", "do"]
    assert row == ["keskar", "demo", "10", "7", "0", "0", "0", "1", "2"]
    assert failed[:2] == ["failed:", f"{id_of(copied.out, LABEL)},"]


def test_a_diverged_run_is_a_result(command):
    engine = command.inline()
    command.recipe(lr=1e6, stopping={"explosion": 1.5})
    assert command()[0] == 0
    statuses = {record["status"] for record in records(command.out).values()}
    assert statuses == {"diverged"}
    assert engine.measured() == []  # there is no solution
    claims = read_claims(command.out / "keskar" / "demo" / "claims.json")
    assert {claim.verdict for claim in claims} <= {"inconclusive", "not run"}
    engine.log.clear()
    assert (command()[0], engine.log) == (0, [])


def test_an_interrupted_command_says_so_and_continues(command):
    engine = command.inline()

    def stop(job):
        if job.label == "small, batch 20, seed 0":
            raise Interrupted

    engine.before = stop
    code, out, _ = command("--figure", "table2")
    assert code == 130
    assert out.endswith("interrupted: nothing is lost, the same command continues\n")
    engine.before = None
    assert command("--figure", "table2")[0] == 0
    assert [engine.trained().count(f"small, batch {batch}, seed 0") for batch in (10, 20)] == [1, 2]


def test_the_report_is_built_from_the_results(copied, monkeypatch):
    built = []
    monkeypatch.setattr("reproduce.report.build_report", lambda out: built.append(out) or 0)
    assert copied.main("report", "--out", str(copied.out))[0] == 0
    assert built == [copied.out]


def test_a_worker_refuses_a_measure_that_it_does_not_know(studied):
    key = id_of(studied, LABEL)
    run = Store(studied).run(key)
    payload = {"config": run.config, "weights": [str(run.weights("final"))], "options": {}}
    with pytest.raises(
        ValueError,
        match="unknown measure 'mood': expected evaluation, sharpness, path, distance, linear-approximation, norms,",
    ):
        worker.execute("mood", payload, lambda state: None)
