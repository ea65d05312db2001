"""What the study of LARS draws and claims, on runs and norms whose answers are known."""

import math

import pytest
from rate_runs import Made, judged, plan, settings

from reproduce import drawing
from reproduce.claims import read_claims, write_claims
from reproduce.papers.lars import STUDY, facts
from reproduce.papers.lars.problems import LARS, PAIRS, PROBLEMS, SGD
from reproduce.papers.lars.trials import norms, run
from reproduce.study import SCALES

ARTIFACTS = {artifact.name: artifact for artifact in STUDY.artifacts}
FIGURES = [name for name, artifact in ARTIFACTS.items() if artifact.kind == "figure"]
PLAN = plan(STUDY)
RIGHT = {
    (SGD, 16): 95.0, (SGD, 64): 94.0, (SGD, 256): 90.0, (SGD, 500): 80.0,
    (LARS, 16): 94.5, (LARS, 64): 94.4, (LARS, 256): 94.2, (LARS, 500): 94.0,
}  # fmt: skip
LAYERS = {"features.0": (12.0, 2.0), "features.4": (30.0, 1.0), "features.8": (40.0, 0.8), "classifier.1": (0.5, 1.0)}
HELD = {
    "lars-naive-alexnet": 15.0, "lars-holds-alexnet": 1.0, "lars-ahead-alexnet": 14.0, "lars-ratios-alexnet": 100.0,
}  # fmt: skip


def place(trial):
    """Method and batch size of a trial of the demo."""
    return (LARS if trial.recipe.endswith("-lars") else SGD), settings(trial).get("batch_size", 16)


def accuracy(trial, right=RIGHT):
    return right[place(trial)] + trial.seed + 0.01 * ((trial.seed + place(trial)[1]) % 3 - 1)


def measured(measure, layers=LAYERS):
    """Norms of four layers; a seed scales the weights, not their ratios to one another."""
    assert (measure.kind, [name for _, name in measure.of]) == ("norms", ["initial"])
    seed = measure.of[0][0].seed
    return {"layers": [
        {"layer": name, "weight": weight * (1 + seed), "gradient": gradient, "ratio": weight * (1 + seed) / gradient}
        for name, (weight, gradient) in layers.items()
    ]}  # fmt: skip


def made(layers=LAYERS, **changed):
    """Runs and norms; `changed` are accuracies by method and batch size: sgd500=90."""
    right = RIGHT | {(name.rstrip("0123456789"), int(name.strip("sgdlar"))): value for name, value in changed.items()}
    return Made(lambda trial: accuracy(trial, right), measure=lambda measure: measured(measure, layers))


@pytest.fixture
def drawn(monkeypatch):
    """What the drawing functions were given: frame, footer and options of the latest figure."""
    latest = {}

    def record(frame, footer, **options):
        latest.clear()
        latest.update(frame=frame, footer=footer, **options)
        return "figure"

    for name in ("against_size", "arm_curves"):
        monkeypatch.setattr(drawing, name, record)
    return latest


def draw(name, results, chosen=PLAN):
    return ARTIFACTS[name].draw(chosen, results)


# Figures and tables ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ARTIFACTS)
def test_nothing_is_drawn_without_runs(name):
    assert draw(name, Made(lambda trial: None)) is None


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_can_be_drawn_and_saved(name, tmp_path):
    figure, frame = draw(name, made(sgd500=math.nan))
    drawing.save(figure, tmp_path, name, frame)
    assert (tmp_path / f"{name}.pdf").stat().st_size > 5000


def test_accuracy_has_both_methods_and_the_papers_in_a_panel_of_their_own(drawn):
    _, frame = draw("accuracy", made(sgd500=math.nan))
    assert frame["arm"].unique().tolist() == ["without LARS", "with LARS"]
    assert len(frame) == 2 * 4 * 3
    at = {(row["method"], row["batch"], row["seed"]): row["value"] for row in frame.to_dict("records")}
    assert at[LARS, 256, 1] == pytest.approx(95.2, abs=0.02)
    assert all(math.isnan(at[SGD, 500, seed]) for seed in range(3))
    assert drawn["worse"] == "down"
    paper = drawn["reported"]
    assert paper["panel"].unique().tolist() == [
        "AlexNet (LRN) on ImageNet, reported",
        "AlexNet-BN on ImageNet, reported",
    ]
    assert paper[["arm", "batch", "mean"]].values.tolist() == [
        ["without LARS", 512, 57.6], ["without LARS", 4096, 53.1], ["without LARS", 8192, 44.8],
        ["without LARS", 512, 60.2], ["with LARS", 8192, 60.2], ["with LARS", 32_768, 57.8],
    ]  # fmt: skip
    text = drawn["footer"].text()
    assert "an eighth of its width on 1,000 of the embedded digits (analogue) · 3 seeds" in text
    assert "not run: ResNet-50" in text


def test_ours_share_the_reported_panels_at_the_papers_scale(drawn):
    _, frame = draw("accuracy", Made(lambda trial: 60.0), plan(STUDY, "paper"))
    reported = set(drawn["reported"]["panel"])
    assert reported - set(frame["panel"]) == {"AlexNet (LRN) on ImageNet, reported"}  # we train AlexNet-BN
    assert len(frame["panel"].unique()) == len(reported) - 1 == 2


def test_curves_are_those_of_the_base_and_the_largest_batch(drawn):
    _, frame = draw("curves", made())
    assert frame["panel"].unique().tolist() == ["Without LARS", "With LARS"]
    assert frame["arm"].unique().tolist() == ["batch 16", "batch 500"]
    last = frame[(frame["epoch"] == 12) & (frame["seed"] == 2)].set_index(["method", "arm"])["value"]
    assert last[SGD, "batch 500"] == pytest.approx(82, abs=0.02)
    assert last[LARS, "batch 500"] == pytest.approx(96, abs=0.02)


def test_the_table_of_sizes_has_the_gain_of_lars():
    _, frame = draw("sizes", made(sgd500=math.nan))
    rows = frame.set_index("batch")
    assert rows.loc[256, "with LARS"] == "95.20 ± 1.00"
    assert rows.loc[256, "difference"].startswith("+4.20 [")
    assert rows.loc[500, ["without LARS", "difference"]].tolist() == ["diverged", "–"]
    assert rows["steps an epoch"].tolist() == [62, 15, 3, 2]


def test_the_table_of_norms_names_the_papers_layers():
    table, frame = draw("norms", made())
    assert frame["layer"].tolist() == [
        "features.0 (conv1)", "features.4 (conv2)", "features.8 (conv3)", "classifier.1 (output)",
    ]  # fmt: skip
    assert frame["‖w‖/‖∇L‖"].iloc[0] == "12.0 ± 6.0"
    assert frame["reported (N)"].iloc[0] == 5.76
    assert frame["reported (N)"].iloc[1:].isna().all()  # an output layer is no fc6
    assert r"\ensuremath{\nabla}" in table.tex


def test_the_head_of_imagenets_alexnet_has_an_fc6():
    chosen = plan(STUDY, "paper", "norms")
    layers = {
        "features.0": (1.0, 1.0),
        "classifier.1": (1.0, 1.0),
        "classifier.4": (2.0, 1.0),
        "classifier.6": (3.0, 1.0),
    }
    _, frame = draw("norms", made(layers), chosen)
    rows = frame[frame["problem"] == "AlexNet on ImageNet"].set_index("layer")["reported (N)"]
    assert rows.index.tolist() == [
        "features.0 (conv1)", "classifier.1 (fc6)", "classifier.4 (fc7)", "classifier.6 (fc8)",
    ]  # fmt: skip
    assert rows.iloc[:2].tolist() == [5.76, 1345.0]
    others = frame[frame["problem"] == "ResNet-50 on ImageNet"]
    assert others["layer"].tolist() == list(layers)  # the paper's names are AlexNet's
    assert others["reported (N)"].isna().all()


def test_norms_are_measured_at_the_weights_that_both_methods_start_from():
    asked = ARTIFACTS["norms"].trials(PLAN)
    assert asked == [run(PLAN, "AlexNet", SGD, 16, seed) for seed in range(3)]
    assert ARTIFACTS["norms"].measures(PLAN, made()) == [norms(PLAN, "AlexNet", seed) for seed in range(3)]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ["accuracy", "sizes", "curves"])
def test_a_figure_asks_for_the_runs_that_it_draws(name, scale, drawn):
    chosen = plan(STUDY, scale, name)
    asked = set(ARTIFACTS[name].trials(chosen))
    some = Made(lambda trial: 80.0 + trial.seed if trial in asked else None)
    every = Made(lambda trial: 80.0 + trial.seed)
    assert draw(name, some, chosen)[1].equals(draw(name, every, chosen)[1])


@pytest.mark.parametrize("scale", SCALES)
def test_every_problem_has_both_methods_at_the_same_sizes(scale):
    for name, pair in PAIRS[scale].items():
        plain, layered = PROBLEMS[scale][name], PROBLEMS[scale][f"{name} with LARS"]
        assert layered.recipe == f"{plain.recipe}-lars"
        assert [arm.batch for arm in plain.arms] == [arm.batch for arm in layered.arms] == list(pair.batches)
        assert [arm.overrides for arm in plain.arms] == [arm.overrides for arm in layered.arms]


# Claims ---------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def held():
    return judged(STUDY, PLAN, made())


def test_there_is_a_trial_for_every_claim(held):
    assert set(held) == set(HELD)


@pytest.mark.parametrize("id", HELD)
def test_a_claim_that_holds_is_reproduced(id, held):
    claim = held[id]
    assert claim.measured == pytest.approx(HELD[id], abs=0.03)
    assert (claim.verdict, claim.n_seeds, claim.scale) == ("reproduced", 3, "demo")


@pytest.mark.parametrize(
    ("id", "changed", "effect"),
    [
        ("lars-naive-alexnet", {"sgd500": 94.0}, 1.0),
        ("lars-holds-alexnet", {"lars500": 90.0}, 5.0),
        ("lars-ahead-alexnet", {"lars500": 79.0}, -1.0),
        ("lars-ratios-alexnet", {"layers": {"a": (1.0, 1.0), "b": (4.0, 1.0)}}, 4.0),
    ],
)
def test_a_claim_that_does_not_hold_is_not_reproduced(id, changed, effect):
    claim = judged(STUDY, PLAN, made(**changed))[id]
    assert claim.measured == pytest.approx(effect, abs=0.03)
    assert claim.verdict == "not reproduced"


def test_a_run_that_diverged_counts_as_one_that_answers_at_random():
    found = judged(STUDY, PLAN, made(sgd500=math.nan))
    assert found["lars-naive-alexnet"].measured == pytest.approx(96 - 10, abs=0.03)
    assert found["lars-ahead-alexnet"].verdict == "reproduced"
    assert judged(STUDY, PLAN, made(lars500=math.nan))["lars-holds-alexnet"].verdict == "not reproduced"


def test_the_size_below_the_largest_stands_beside_without_a_verdict(held):
    told = held["lars-ahead-alexnet"].rule.partition("; not judged: ")[2]
    assert "at batch 256 (36 updates) 91.00 ± 1.00 without LARS and 95.20 ± 1.00 with LARS" in told
    assert "at batch 500 (24 updates)" in told
    assert "not judged" not in judged(STUDY, PLAN, Made(lambda trial: None))["lars-ahead-alexnet"].rule


def test_two_seeds_leave_every_claim_open():
    found = judged(STUDY, plan(STUDY, seeds=2), made())
    assert {claim.verdict for claim in found.values()} == {"inconclusive"}


@pytest.mark.parametrize("scale", SCALES)
def test_without_runs_no_claim_is_judged(scale):
    found = judged(STUDY, plan(STUDY, scale), Made(lambda trial: None))
    assert {claim.verdict for claim in found.values()} == {"not run"}
    assert set(found) >= set(HELD)


def test_what_is_reported_stands_beside_with_its_tag(held):
    assert (
        held["lars-naive-alexnet"].reported
        == "12.8 lost at 8192 of AlexNet with LRN, derived from reported numbers (N)"
    )
    assert held["lars-holds-alexnet"].reported == "0.0 lost at 8192, 2.4 at 32768, derived from reported numbers (N)"
    assert held["lars-ratios-alexnet"].reported == "234, of fc6 over conv1, derived from reported numbers (N)"
    assert facts.RATIOS == {"conv1": 5.76, "fc6": 1345.0}


def test_the_ledger_can_be_stored(tmp_path, held):
    write_claims(tmp_path / "claims.json", held.values())
    assert read_claims(tmp_path / "claims.json") == list(held.values())


@pytest.mark.parametrize("scale", SCALES)
def test_the_notes_name_the_choices(scale):
    notes = " ".join(STUDY.notes(plan(STUDY, scale)))
    assert "second hand (N)" in notes
    steps = {"demo": (2, 24), "laptop": (4, 48), "gpu": (6, 240), "paper": (39, 3900)}[scale]
    assert "{} steps an epoch and {} updates".format(*steps) in notes
    assert ("Analogues of AlexNet-BN" in notes) == (scale != "paper")
    assert ("No augmentation" in notes) == (scale in ("demo", "laptop"))
    assert ("base rates, too, were chosen after" in notes) == (scale == "demo")
    assert "fewer than 3 seeds" in " ".join(STUDY.notes(plan(STUDY, scale, seeds=1)))
