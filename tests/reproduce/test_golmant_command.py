"""The whole command on golmant: a study in miniature that is really trained, and made-up runs that cannot be drawn."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import golmant_runs
import pandas as pd
import pytest
import yaml

from reproduce import planning, recipes
from reproduce.claims import read_claims
from reproduce.papers import golmant
from reproduce.papers.golmant.problems import PROBLEMS
from reproduce.store import Store
from reproduce.study import SCALES

RECIPES = recipes.folder()
NAMES = [artifact.name for artifact in golmant.STUDY.artifacts]


def shrunk(recipe, **sections):
    """The demo's recipe with other numbers: `data={"train_examples": 64}`."""
    settings = yaml.safe_load((RECIPES / "golmant" / f"{recipe}.demo.yaml").read_text())
    for name, options in sections.items():
        section = settings["data"] if name == "data" else settings["model"]["init_args"][name]
        section["init_args"] |= options
    return settings


TINY = {
    # problem: batch sizes, examples, recipe
    "ResNet34": (
        (16, 32), 128,
        shrunk(
            "resnet34-cifar10", network={"width": 0.25},
            data={"train_examples": 128, "test_examples": 100, "sample_examples": 64},
        ),
    ),
    "LSTM": (
        (8, 16), 85,
        shrunk("lstm-wikitext2", data={"train_tokens": 3000, "test_tokens": 1000, "sample_tokens": 1000}),
    ),
    "DRN": (
        (2, 4), 4,
        shrunk("drn22-cityscapes", data={"train_examples": 4, "test_examples": 2, "sample_examples": 2}),
    ),
}  # fmt: skip


@pytest.fixture
def tiny(command, monkeypatch):
    """`reproduce golmant` on networks that train in a tenth of a second."""
    folder = command.folder / "configs" / "golmant"
    folder.mkdir()
    problems = {}
    for name, (batches, examples, settings) in TINY.items():
        problem = PROBLEMS["demo"][name]
        settings["trainer"]["max_epochs"] = 2
        (folder / f"{problem.recipe}.demo.yaml").write_text(yaml.safe_dump(settings))
        shares = (1.0, 0.5) if problem.fractions else ()
        problems[name] = replace(problem, batches=batches, examples=examples, epochs=2, fractions=shares)
    monkeypatch.setitem(PROBLEMS, "demo", problems)
    recipes._resolved.cache_clear()
    command.inline()
    return command


def test_the_study_in_miniature_is_trained_measured_drawn_and_judged(tiny):
    figures = ["fig1", "table1", "fig2right", "fig4", "longer"]
    arguments = ["golmant", "--out", str(tiny.out), "--seeds", "1", "--wandb", "disabled"]
    arguments += ["--network", *TINY, "--figure"]
    code, out, err = tiny.main(*arguments, *figures)
    folder = tiny.out / "golmant" / "demo"
    assert (code, err) == (0, ""), (folder / "failures.txt").read_text()
    # ResNet: 2 batches under 2 rules that share the smaller one, 2 with half the data, 2 that train longer. Else 3.
    assert "13 runs: 0 done, 13 to train" in out
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["not_drawn"] == []
    assert {entry["name"] for entry in manifest["figures"] + manifest["tables"]} == set(figures)
    assert [run["status"] for run in manifest["runs"]] == ["finished"] * 13
    claims = {claim.id: claim for claim in read_claims(folder / "claims.json")}
    assert {claim.verdict for claim in claims.values()} <= {"inconclusive", "not run"}  # one seed
    for id in ("golmant-baseline-drn", "golmant-baseline-lstm", "golmant-longer-accuracy-linear"):
        assert (claims[id].n_seeds, claims[id].verdict) == (1, "inconclusive")

    runs = pd.read_csv(folder / "runs.csv")
    metrics = runs.groupby("label")["metric"].unique().apply(set)
    assert {"train_perplexity", "test_perplexity"} <= metrics.filter(like="LSTM").iloc[0]
    assert {"train_miou", "test_miou"} <= metrics.filter(like="DRN").iloc[0]

    def losses(label):
        found = runs[(runs["label"] == f"ResNet-8, batch 32, {label}, seed 0") & (runs["metric"] == "train_loss")]
        return dict(zip(found["step"], found["value"], strict=True))

    short, long = losses("linear scaling"), losses("linear scaling, 2 x the epochs")
    assert (list(short), list(long)) == ([0, 1, 2, 3, 4, 6, 8], [0, 1, 2, 3, 4, 6, 8, 12, 16])
    assert short.items() <= long.items()  # with a constant rate a longer run repeats the shorter one

    code, out, _ = tiny.main(*arguments, "fig5", "--dry-run")
    assert code == 0
    assert "9 runs: 9 done, 0 to train" in out  # it shares them all with Fig. 1


@pytest.fixture
def made_up(command):
    """The command on made-up runs of ResNet-8 and VGG11, one seed, in a store."""
    recipes.folder = lambda: RECIPES  # the fixture puts the real one back
    recipes._resolved.cache_clear()

    def call(*figures, networks=("ResNet34", "VGG16"), **how):
        plan = golmant_runs.plan("demo", *figures, networks=networks, seeds=1)
        golmant_runs.put(Store(command.out), plan, golmant_runs.Synthetic(plan, **how))
        places = ["--out", str(command.out), "--seeds", "1", "--wandb", "disabled"]
        return command.main("golmant", *places, "--network", *networks, "--figure", *figures)

    call.folder = command.out / "golmant" / "demo"
    return call


def test_a_figure_without_a_threshold_fails_in_one_line_and_the_others_are_drawn(made_up, monkeypatch):
    def slow(what):
        return 0.01 if what.name == "ResNet34" and what.batch == 16 else golmant_runs.ladder(what)

    monkeypatch.setattr("reproduce.runner.LocalEngine", None)  # nothing is left to train or to measure
    code, out, err = made_up("fig1", "fig2left", "fig3", "contradictions", speed=slow)
    assert (code, err) == (1, "")
    failed = [line for line in out.splitlines() if line.startswith("failed")]
    assert len(failed) == 1
    assert failed[0].startswith(
        "failed drawing of fig2left: ResNet-8: batch 16, the smallest, never reached the threshold 1.308: "
    )
    assert "Traceback" not in out
    manifest = json.loads((made_up.folder / "manifest.json").read_text())
    assert [entry["name"] for entry in manifest["figures"] + manifest["tables"]] == ["fig1", "fig3", "contradictions"]
    assert manifest["not_drawn"] == ["fig2left"]
    claims = {claim.id: claim.verdict for claim in read_claims(made_up.folder / "claims.json")}
    assert set(claims.values()) <= {"inconclusive", "not run"}
    assert claims["golmant-sublinear"] == "inconclusive"


def test_figures_and_tables_can_be_drawn_where_a_run_diverged(made_up, monkeypatch):
    monkeypatch.setattr("reproduce.runner.LocalEngine", None)
    figures = ["fig1", "fig2left", "fig2right", "levels", "longer"]
    code, _, err = made_up(
        *figures, networks=("ResNet34",), diverged=lambda what: what.rule == "linear" and what.batch == 256
    )
    assert (code, err) == (0, ""), (made_up.folder / "failures.txt").read_text()
    manifest = json.loads((made_up.folder / "manifest.json").read_text())
    assert manifest["not_drawn"] == []
    assert [run["label"] for run in manifest["runs"] if run["status"] == "diverged"] == [
        "ResNet-8, batch 256, linear scaling, seed 0", "ResNet-8, batch 256, linear scaling, 2 x the epochs, seed 0",
    ]  # fmt: skip
    frame = pd.read_csv(made_up.folder / "figures" / "fig2left.csv")
    assert frame[frame["diverged"]][["rule", "batch"]].values.tolist() == [["linear", 256]]
    errors = pd.read_csv(made_up.folder / "figures" / "fig2right.csv").set_index("batch")
    assert errors["diverged"].tolist() == [False] * 4 + [True]
    assert errors["error"].isna().tolist() == [False] * 4 + [True]


@pytest.mark.parametrize("scale", SCALES)
def test_a_dry_run_of_every_scale_says_what_is_shared(scale, command, monkeypatch):
    monkeypatch.setattr("reproduce.recipes.folder", lambda: RECIPES)
    monkeypatch.setattr(planning, "check_data", lambda *_, **__: None)  # as if all data were at hand
    recipes._resolved.cache_clear()
    code, out, err = command.main("golmant", "--scale", scale, "--dry-run", "--out", str(command.out))
    assert (code, err) == (0, "")
    runs = int(re.search(r"^(\d+) runs: 0 done, \1 to train; about ", out, re.MULTILINE)[1])
    table = [line.split()[-2:] for line in out.splitlines() if line.split(" ")[0] in NAMES]
    assert len(table) == len(NAMES)
    assert sum(int(new) for _, new in table) == runs  # each is trained for the first figure that needs it
    assert sum(int(all_) for all_, _ in table) > 2 * runs
    assert not command.out.exists()


def test_what_is_not_run_at_a_scale_is_named(command, monkeypatch):
    monkeypatch.setattr("reproduce.recipes.folder", lambda: RECIPES)
    code, _, err = command.main("golmant", "--network", "mnist")
    assert code == 2
    assert err == (
        "reproduce: error: --network MNIST is not run at scale demo: the demo scale has the embedded data only.\n"
    )
    monkeypatch.setenv("BSGAP_DATA", str(command.folder))
    code, _, err = command.main("golmant", "--scale", "laptop", "--network", "DRN", "--dry-run")
    assert code == 2
    assert "CamVid" in err
    assert err.count("\n") == 1


def test_a_network_without_data_is_left_out_with_the_reason(command, monkeypatch):
    monkeypatch.setattr("reproduce.recipes.folder", lambda: RECIPES)
    recipes._resolved.cache_clear()
    plan = planning.make_plan(golmant.STUDY, "demo")
    missing = planning.MissingData("no drawn scenes")

    def check(name, root):
        if name == "drawn":
            raise missing

    monkeypatch.setattr(planning, "check_data", check)
    results = SimpleNamespace(
        data_root=None, run=lambda _: None, id=repr, measured=lambda _: None, diverged=lambda _: 0
    )
    left = planning.with_data_at_hand(golmant.STUDY, plan, results)
    assert left.networks == ("ResNet34", "VGG16", "LSTM")
    assert left.not_run["DRN"] == "data are missing: no drawn scenes"
