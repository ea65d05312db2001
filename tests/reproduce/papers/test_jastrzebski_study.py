"""What the study of Jastrzebski et al. draws and claims, on runs, norms and lines whose answers are known."""

import itertools
import math
from types import SimpleNamespace

import pytest
from rate_runs import Made, judged, plan, settings

from reproduce import drawing, recipes
from reproduce.claims import read_claims, write_claims
from reproduce.papers.jastrzebski import STUDY, trials
from reproduce.papers.jastrzebski.problems import GRIDS, MLP, PROBLEMS, RESNET, VGG
from reproduce.papers.jastrzebski.trials import evaluation, grid, line, norm, run
from reproduce.study import SCALES

ARTIFACTS = {artifact.name: artifact for artifact in STUDY.artifacts}
FIGURES = [name for name, artifact in ARTIFACTS.items() if artifact.kind == "figure"]
PLAN = plan(STUDY)
GRID = GRIDS["demo"][MLP]
HELD = {
    "jastrzebski-norm": -0.5, "jastrzebski-norm-matched-loss": -0.3, "jastrzebski-accuracy": 2.0,
    "jastrzebski-equal-norm-mlp": 1.0, "jastrzebski-equal-norm-mlp-matched-loss": 1.0,
    "jastrzebski-equal-accuracy-mlp": 0.0, "jastrzebski-apart-mlp": math.log(2),
}  # fmt: skip
PLACES = [(scale, name) for scale in SCALES for name in GRIDS[scale]]


def pair_of(trial):
    found = settings(trial)
    return found["lr"], found["batch_size"]


class Study(Made):
    """Runs that kept levels of the loss; the smallest ratio did not get to the lowest of them."""

    def run(self, trial):
        found = super().run(trial)
        if found is None:
            return None
        rate, batch = pair_of(trial)
        names = ["initial", "final", "loss-1", "loss-0.3"] + (["loss-0.1"] if rate / batch > 3e-4 else [])
        return SimpleNamespace(status=found.status, outcome={"kept": {name: {} for name in names}})


def measured(measure, *, power=-0.5, matched_power=-0.3, batch_power=0.0, points=2.0, extra=0.0):
    """A norm that is a power of rate/batch (and of the batch), an accuracy that rises with the logarithm of the ratio."""
    (trial, weights), *_ = measure.of
    rate, batch = pair_of(trial)
    wobble = 1 + 0.001 * ((trial.seed + batch) % 3 - 1)
    if measure.kind == "eigenvalues":
        exponent = power if weights == "final" else matched_power
        return {"lambda_max": (rate / batch) ** exponent * (batch / 20) ** batch_power * wobble}
    if measure.kind == "evaluation":
        right = 97 + points * math.log10(rate / batch / 1e-3) + extra * math.log2(batch / 20) + 0.01 * wobble
        return {"test_accuracy": right / 100, "train_loss": 0.01}
    alphas = [-1.0, 0.0, 1.0, 2.0]
    return {"alphas": alphas, "losses": {"train": [2.0, 0.1, 0.1, 3.0], "test": [2.0, 0.2, 0.2, 3.0]}}


def made(accuracy=lambda trial: 90.0, **options):
    return Study(accuracy, measure=lambda measure: measured(measure, **options))


def draw(name, results, chosen=PLAN):
    return ARTIFACTS[name].draw(chosen, results)


# Figures and tables ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ARTIFACTS)
def test_nothing_is_drawn_without_runs(name):
    assert draw(name, Study(lambda trial: None)) is None


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_can_be_drawn_and_saved(name, tmp_path):
    figure, frame = draw(name, made())
    drawing.save(figure, tmp_path, name, frame)
    assert (tmp_path / f"{name}.pdf").stat().st_size > 5000


def test_figure_1_has_norm_and_accuracy_of_every_pair():
    figure, frame = draw("fig1", made())
    assert frame["panel"].unique().tolist() == [
        "Hessian norm at the end", "Hessian norm at matched loss", "Test accuracy",
    ]  # fmt: skip
    assert len(frame) == 3 * len(GRID.pairs) * 3
    assert [axis.get_yscale() for axis in figure.axes] == ["log", "log", "linear"]
    assert "matched loss: 0.30 nats" in " ".join(figure._supxlabel.get_text().split())


def test_figure_2_joins_the_pairs():
    _, frame = draw("fig2", made())
    assert frame["panel"].unique().tolist() == [
        f"(η, S) = {ends}"
        for ends in ("(0.02, 20) to (0.02, 80)", "(0.02, 20) to (0.005, 20)", "(0.02, 80) to (0.005, 20)")
    ]  # fmt: skip
    assert frame["arm"].unique().tolist() == ["train", "test"]
    asked = ARTIFACTS["fig2"].measures(PLAN, made())
    assert asked == [line(PLAN, MLP, ends, seed) for ends in GRID.lines for seed in range(3)]
    assert {trial for measure in asked for trial, _ in measure.of} == set(ARTIFACTS["fig2"].trials(PLAN))


def test_figure_3_sets_one_ratio_beside_one_rate():
    _, frame = draw("fig3", made())
    assert frame["arm"].unique().tolist() == ["one ratio η/S = 0.00025", "one rate η = 0.02"]
    norms = frame[(frame["quantity"] == "end") & (frame["seed"] == 0)]
    ratios = norms.groupby("arm")["value"].agg(lambda values: values.max() / values.min())
    assert ratios["one ratio η/S = 0.00025"] == pytest.approx(1, abs=0.01)
    assert ratios["one rate η = 0.02"] == pytest.approx(2, abs=0.01)


def test_the_table_falls_by_ratio():
    table, frame = draw("pairs", made())
    ratios = [float(rate) / batch for rate, batch in zip(frame["η"], frame["S"], strict=True)]
    assert ratios == sorted(ratios, reverse=True)
    assert len(frame) == len(GRID.pairs)
    assert r"\ensuremath{\eta}" in table.tex


def test_a_run_that_diverged_has_no_numbers():
    results = made(lambda trial: math.nan if pair_of(trial) == GRID.pairs[0] and trial.seed == 0 else 90.0)
    frame = trials.frame(PLAN, results)
    assert frame["end"].isna().sum() == 1
    assert judged(STUDY, PLAN, results)["jastrzebski-norm"].verdict == "inconclusive"
    assert draw("fig1", results) is not None


# Claims ---------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def held():
    return judged(STUDY, PLAN, made())


def test_the_claims_are_those_declared(held):
    assert list(held) == list(HELD)


@pytest.mark.parametrize("id", HELD)
def test_a_claim_that_holds_is_reproduced(id, held):
    assert held[id].measured == pytest.approx(HELD[id], abs=0.01)
    assert (held[id].verdict, held[id].n_seeds) == ("reproduced", 3)


@pytest.mark.parametrize(
    ("id", "changed"),
    [
        ("jastrzebski-norm", {"power": 0.2}),
        ("jastrzebski-norm-matched-loss", {"matched_power": 0.0}),
        ("jastrzebski-accuracy", {"points": -1.0}),
        ("jastrzebski-equal-norm-mlp", {"batch_power": 1.0}),
        ("jastrzebski-equal-norm-mlp-matched-loss", {"batch_power": -1.0}),
        ("jastrzebski-equal-accuracy-mlp", {"extra": 1.0}),
        ("jastrzebski-apart-mlp", {"power": 0.5, "batch_power": 1.0}),
    ],
)
def test_a_claim_that_does_not_hold_is_not_reproduced(id, changed):
    assert judged(STUDY, PLAN, made(**changed))[id].verdict == "not reproduced"


def test_equality_needs_an_interval_within_the_bounds():
    """A difference that is merely not seen is no equality."""

    def noisy(measure):
        found = measured(measure)
        if measure.kind == "eigenvalues" and pair_of(measure.of[0][0]) == GRID.equal[0]:
            found["lambda_max"] *= (0.3, 1.0, 3.0)[measure.of[0][0].seed]
        return found

    claim = judged(STUDY, PLAN, Study(lambda trial: 90.0, measure=noisy))["jastrzebski-equal-norm-mlp"]
    assert (claim.measured, claim.verdict) == (pytest.approx(1.035, rel=0.02), "inconclusive")
    assert "between 0.666667 and 1.5" in claim.rule


def test_two_seeds_leave_every_claim_open():
    found = judged(STUDY, plan(STUDY, seeds=2), made())
    assert {claim.verdict for claim in found.values()} == {"inconclusive"}


@pytest.mark.parametrize("scale", SCALES)
def test_without_runs_no_claim_is_judged(scale):
    found = judged(STUDY, plan(STUDY, scale), Study(lambda trial: None))
    assert {claim.verdict for claim in found.values()} == {"not run"}
    assert set(found) >= set(HELD)
    assert any("vgg-11" in id for id in found) == (VGG in GRIDS[scale])


def test_the_ledger_can_be_stored(tmp_path, held):
    write_claims(tmp_path / "claims.json", held.values())
    assert read_claims(tmp_path / "claims.json") == list(held.values())


# Runs and recipes -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("scale", "name"), PLACES)
def test_the_pairs_that_figures_take_are_trained(scale, name):
    found = GRIDS[scale][name]
    taken = {*found.equal, *found.unequal, *itertools.chain(*found.lines)}
    assert taken <= set(found.pairs)
    assert len(set(found.pairs)) == len(found.pairs)
    if found.equal:
        ratios = [rate / batch for rate, batch in found.equal]
        assert max(ratios) / min(ratios) < 1.05  # 12 stands for 12.5
        assert len({rate for rate, _ in found.unequal}) == 1
        assert {batch for _, batch in found.unequal} == {batch for _, batch in found.equal}


def test_the_papers_grid_spans_its_ranges():
    rates, batches = zip(*GRIDS["paper"][MLP].pairs, strict=True)
    assert (min(rates), max(rates), min(batches), max(batches)) == (0.005, 0.05, 50, 1000)
    assert GRIDS["paper"][RESNET].pairs == ((0.1, 128), (0.1, 1024), (0.01, 128))
    assert GRIDS["paper"][VGG].equal == ((0.025, 12), (0.1, 50), (0.4, 200))


@pytest.mark.parametrize(("scale", "name"), PLACES)
def test_a_run_is_plain_sgd_at_its_pair(scale, name):
    found, chosen = GRIDS[scale][name], plan(STUDY, scale)
    for pair in found.pairs:
        config = recipes.configuration(run(chosen, name, pair, 1))
        model, data = config["model"]["init_args"], config["data"]["init_args"]
        options = model["optimizer"]["init_args"]
        assert (options["lr"], data["batch_size"]) == pair
        assert (options.get("momentum", 0), options.get("weight_decay", 0), config["decay"]["shape"]) == (0, 0, "none")
        assert config["stopping"]["patience"] > 0
        assert config["keep"]["ends"]
        assert (config["trainer"]["max_epochs"], data["source"]) == (found.problem.epochs, found.problem.source)
        assert data.get("train_examples") in (None, found.problem.examples)
    if name == MLP:
        assert model["network"]["init_args"]["layers"] == 20


def test_every_recipe_of_the_folder_is_used():
    used = {
        path for scale, name in PLACES for path in recipes.files("jastrzebski", PROBLEMS[scale][name].recipe, scale)
    }
    assert used == set((recipes.folder() / "jastrzebski").glob("*.yaml"))


def test_norms_are_measured_once_for_pairs_that_stand_twice():
    asked = ARTIFACTS["fig3"].measures(PLAN, made())
    assert len(set(asked)) == len(asked)
    assert norm(PLAN, MLP, GRID.equal[0], 0) in asked
    assert norm(PLAN, MLP, GRID.equal[0], 0, "loss-0.3") in asked
    assert evaluation(PLAN, MLP, GRID.unequal[0], 2) in asked
    assert {measure.of[0][0] for measure in asked} == set(ARTIFACTS["fig3"].trials(PLAN))


@pytest.mark.parametrize("scale", SCALES)
def test_the_notes_name_the_choices(scale):
    notes = " ".join(STUDY.notes(plan(STUDY, scale)))
    assert "could not be had" in notes
    assert ("Analogues" in notes) == (scale in ("demo", "laptop"))
    assert ("stands in for Fashion-MNIST" in notes) == (scale == "laptop")
    assert "fewer than 3 seeds" in " ".join(STUDY.notes(plan(STUDY, scale, seeds=1)))
    assert set(plan(STUDY, scale).not_run) == {RESNET, VGG} - set(GRIDS[scale])
    assert grid(plan(STUDY, scale), MLP) is GRIDS[scale][MLP]
