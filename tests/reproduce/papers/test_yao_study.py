"""What the study of Yao et al. draws and claims, on runs, spectra and attacks whose answers are known."""

import math
from types import SimpleNamespace

import pytest
from rate_runs import Made, judged, plan, settings

from reproduce import drawing, recipes
from reproduce.claims import read_claims, write_claims
from reproduce.papers.yao import STUDY
from reproduce.papers.yao.problems import PROBLEMS, SWEEPS
from reproduce.papers.yao.trials import LOWEST, along, attack, matched, run, spectrum
from reproduce.study import SCALES, Trial

ARTIFACTS = {artifact.name: artifact for artifact in STUDY.artifacts}
FIGURES = [name for name, artifact in ARTIFACTS.items() if artifact.kind == "figure"]
PLAN = plan(STUDY)
BATCHES = SWEEPS["demo"]["C1"].batches
SMALL, LARGE = BATCHES[0], BATCHES[-1]
HELD = {
    "yao-eigenvalue-c1": 25.0, "yao-eigenvalue-c1-matched-loss": 5.0, "yao-power-c1": 1.0, "yao-saddle-c1": 0.02,
    "yao-robust-c1": 10.0, "yao-robust-c1-absolute": 14.0,
}  # fmt: skip
KEPT = ("initial", "final", "loss-1", "loss-0.5", "loss-0.1")


def batch_of(trial):
    return settings(trial).get("batch_size", SMALL)


class Study(Made):
    """Runs that kept levels of the loss; those of the largest batch did not get to the lowest of them."""

    def run(self, trial):
        found = super().run(trial)
        if found is None:
            return None
        names = KEPT if batch_of(trial) < LARGE else KEPT[:-1]
        last = {"train_loss": 0.1, "test_accuracy": 0.9}
        return SimpleNamespace(status=found.status, outcome={"kept": {name: {} for name in names}, "last": last})


def measured(measure, *, power=1.0, low=-0.02, matched_power=0.5, left=(80.0, 70.0), clean=(96.0, 93.3333)):
    """Eigenvalues in proportion to a power of the batch; accuracies of the smallest and of any other batch."""
    (trial, weights), *_ = measure.of
    batch, options = batch_of(trial), dict(measure.options)
    wobble = 1 + 0.01 * (trial.seed - 1)
    if measure.kind == "eigenvalues":
        exponent = power if weights == "final" else matched_power
        top = batch**exponent * wobble
        found = {"values": [top, top / 2, top / 3], "converged": [True, True, False], "lambda_max": top}
        if "lowest_products" in options:
            found |= {"lambda_min": low * top, "lowest": {"converged": True}}
        return found
    if measure.kind == "along":
        alphas = [-0.5, 0.0, 0.5]
        return {"alphas": alphas, "losses": [0.1 + batch * alpha**2 for alpha in alphas]}
    place = 0 if batch == SMALL else 1
    accuracy = (left[place] + trial.seed) / 100
    accuracies = [0.9, accuracy, 0.1]
    return {"accuracy": clean[place] / 100, "accuracies": accuracies, "still": 0.25 * place}


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


def test_the_spectrum_has_the_end_and_matched_loss():
    figure, frame = draw("spectrum", made())
    assert frame["panel"].unique().tolist() == ["At the end of training", "At matched training loss"]
    end = frame[(frame["moment"] == "end") & (frame["seed"] == 1)]
    assert end[end["which"] == 1].set_index("batch")["value"].to_dict() == pytest.approx({b: b for b in BATCHES})
    assert end[end["which"] == 0].set_index("batch")["value"].to_dict() == pytest.approx({b: 0.02 * b for b in BATCHES})
    assert set(frame.loc[frame["moment"] == "matched", "level"]) == {"loss-0.5"}
    note = " ".join(figure._supxlabel.get_text().split())
    assert "matched loss: 0.50 nats" in note
    assert "24 eigenvalues above the declared residual" in note  # the third of every spectrum


def test_a_smallest_eigenvalue_that_is_positive_is_not_drawn():
    _, frame = draw("spectrum", made(low=0.01))
    assert 0 not in set(frame["which"])


def test_the_loss_is_followed_for_the_smallest_and_the_largest_batch():
    _, frame = draw("eigenvector", made())
    assert frame["arm"].unique().tolist() == [f"batch {SMALL}", f"batch {LARGE}"]
    assert len(frame) == 2 * 3 * 3
    asked = ARTIFACTS["eigenvector"].measures(PLAN, made())
    assert asked == [along(PLAN, "C1", batch, seed) for batch in (SMALL, LARGE) for seed in range(3)]
    assert {measure.of[0][0] for measure in asked} == set(ARTIFACTS["eigenvector"].trials(PLAN))


def test_robustness_is_drawn_with_and_without_attack():
    figure, frame = draw("robustness", made())
    assert frame["panel"].unique().tolist() == ["Accuracy (%)", "Share left (%)"]
    assert [axis.get_title() for axis in figure.axes] == ["(a) Under attack", "(b) Relative to no attack"]
    kept = frame[(frame["panel"] == "Share left (%)") & (frame["epsilon"] == 0.1) & (frame["seed"] == 0)]
    assert kept.set_index("batch").loc[SMALL, "value"] == pytest.approx(100 * 80 / 96)
    assert "up to 25 % of the examples" in " ".join(figure._supxlabel.get_text().split())


def test_the_table_sets_every_batch_size_side_by_side():
    table, frame = draw("sizes", made())
    assert frame["batch"].tolist() == list(BATCHES)
    assert frame["ε = 0.1"].tolist()[0] == "81.00 ± 1.00"
    assert all(value.startswith("−0.0200") for value in frame["λmin/λ1"])
    assert r"\ensuremath{\lambda}" in table.tex


def test_a_run_that_diverged_has_no_numbers():
    results = made(lambda trial: math.nan if batch_of(trial) == LARGE and trial.seed == 0 else 90.0)
    _, frame = draw("spectrum", results)
    lost = frame[(frame["batch"] == LARGE) & (frame["seed"] == 0) & (frame["moment"] == "end")]
    assert lost["value"].isna().all()
    assert judged(STUDY, PLAN, results)["yao-eigenvalue-c1"].verdict == "inconclusive"


# Claims ---------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def held():
    return judged(STUDY, PLAN, made())


def test_the_claims_are_those_declared(held):
    assert list(held) == list(HELD)


@pytest.mark.parametrize("id", HELD)
def test_a_claim_that_holds_is_reproduced(id, held):
    effect = {"yao-robust-c1": 100 * 81 / 96 - 100 * 71 / 93.3333, "yao-robust-c1-absolute": 10.0}
    assert held[id].measured == pytest.approx(effect.get(id, HELD[id]), rel=0.01)
    assert (held[id].verdict, held[id].n_seeds, held[id].reported) == ("reproduced", 3, None)


@pytest.mark.parametrize(
    ("id", "changed"),
    [
        ("yao-eigenvalue-c1", {"power": 0.1}),
        ("yao-power-c1", {"power": 0.05}),
        ("yao-eigenvalue-c1-matched-loss", {"matched_power": -0.2}),
        ("yao-saddle-c1", {"low": -0.5}),
        ("yao-robust-c1", {"left": (70.0, 80.0)}),
        ("yao-robust-c1-absolute", {"left": (80.0, 79.0)}),
    ],
)
def test_a_claim_that_does_not_hold_is_not_reproduced(id, changed):
    assert judged(STUDY, PLAN, made(**changed))[id].verdict == "not reproduced"


def test_a_positive_smallest_eigenvalue_is_no_saddle():
    claim = judged(STUDY, PLAN, made(low=0.3))["yao-saddle-c1"]
    assert (claim.measured, claim.verdict) == (0.0, "reproduced")


def test_two_seeds_leave_every_claim_open():
    found = judged(STUDY, plan(STUDY, seeds=2), made())
    assert {claim.verdict for claim in found.values()} == {"inconclusive"}


@pytest.mark.parametrize("scale", SCALES)
def test_without_runs_no_claim_is_judged(scale):
    found = judged(STUDY, plan(STUDY, scale), Study(lambda trial: None))
    assert {claim.verdict for claim in found.values()} == {"not run"}
    assert list(found) == list(HELD)


def test_the_ledger_can_be_stored(tmp_path, held):
    write_claims(tmp_path / "claims.json", held.values())
    assert read_claims(tmp_path / "claims.json") == list(held.values())


# Runs and measures ----------------------------------------------------------------------------------------------------
def test_matched_loss_is_the_lowest_that_all_batch_sizes_reached():
    assert matched(PLAN, made(), "C1").weights == "loss-0.5"
    assert matched(PLAN, Study(lambda trial: None), "C1") is None


def test_the_most_negative_eigenvalue_is_looked_for_at_the_end_alone():
    asked = ARTIFACTS["spectrum"].measures(PLAN, made())
    ends = [measure for measure in asked if measure.of[0][1] == "final"]
    assert all(dict(measure.options)["lowest_products"] == LOWEST for measure in ends)
    others = [measure for measure in asked if measure not in ends]
    assert len(ends) == len(others) == 12
    assert all("lowest_products" not in dict(measure.options) for measure in others)
    assert ends[0] == spectrum(PLAN, "C1", SMALL, 0)


@pytest.mark.parametrize("scale", SCALES)
def test_a_recipe_has_one_rate_at_every_batch_size_and_the_papers_decay_in_proportion(scale):
    sweep = SWEEPS[scale]["C1"]
    for batch in sweep.batches:
        trial = run(plan(STUDY, scale), "C1", batch, 2)
        config = recipes.configuration(trial)
        model, data = config["model"]["init_args"], config["data"]["init_args"]
        assert data["batch_size"] == batch
        assert model["optimizer"]["init_args"]["lr"] == 0.02
        assert model["optimizer"]["init_args"]["momentum"] == 0.9
        assert model["optimizer"]["init_args"].get("weight_decay", 0) == 0
        assert (data["normalise"], data["augment"]) == ("unit", "none")  # ε is in pixels
        assert model["network"]["class_path"] == "bsgap.networks.TwoConvNet"
        assert config["decay"]["factor"] == 0.2
        epochs = config["trainer"]["max_epochs"]
        assert config["decay"]["milestones"] == [epochs / 3, 2 * epochs / 3]
        assert (epochs, data["source"]) == (sweep.problem.epochs, sweep.problem.source)
        assert data.get("train_examples") in (None, sweep.problem.examples)
        assert config["keep"]["ends"]
    assert sweep.attack in sweep.epsilons
    assert (sweep.measured or 1) <= sweep.problem.examples


@pytest.mark.parametrize("scale", SCALES)
def test_every_recipe_of_the_folder_is_used(scale):
    assert recipes.files("yao", PROBLEMS[scale]["C1"].recipe, scale)
    assert {path.name.split(".")[0] for path in (recipes.folder() / "yao").glob("*.yaml")} == {"c1-cifar10"}


def test_an_attack_is_on_all_test_examples():
    assert dict(attack(PLAN, "C1", SMALL, 0).options) == {"epsilons": (0.05, 0.1, 0.2), "split": "test"}


@pytest.mark.parametrize("scale", SCALES)
def test_the_notes_name_the_choices(scale):
    notes = " ".join(STUDY.notes(plan(STUDY, scale)))
    assert "No copy of the paper was at hand" in notes
    assert ("Analogues" in notes) == (scale in ("demo", "laptop"))
    assert "fewer than 3 seeds" in " ".join(STUDY.notes(plan(STUDY, scale, seeds=1)))
    assert isinstance(run(plan(STUDY, scale), "C1", SWEEPS[scale]["C1"].batches[0], 0), Trial)
