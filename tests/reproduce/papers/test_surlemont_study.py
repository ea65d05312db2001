"""What the accompanying study chooses, draws and concludes, on runs whose answers are known."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from rate_runs import judged, plan, settings

from reproduce.claims import read_claims, write_claims
from reproduce.papers.surlemont import STUDY
from reproduce.papers.surlemont.choice import candidates, chosen, following, grid, rates, score
from reproduce.papers.surlemont.problems import ASAM, METHODS, PASSES, PLAIN, PROBLEMS, SAM, Cell, Setting, cells, run
from reproduce.papers.surlemont.relation import best_rates, power, vertex
from reproduce.papers.surlemont.trials import (
    BALL,
    BOX,
    MATCHED,
    TOP,
    ends,
    matched,
    measure,
    measures,
    settled,
    timing,
    timings,
)
from reproduce.planning import trials
from reproduce.report import prose
from reproduce.results import Results
from reproduce.study import SCALES

ARTIFACTS = {artifact.name: artifact for artifact in STUDY.artifacts}
FIGURES = [name for name, artifact in ARTIFACTS.items() if artifact.kind == "figure"]
PLAN = plan(STUDY)
LARGE = PROBLEMS["demo"]["SGD"].batches[-1]
BEST = {"SGD": 0.03, "Adam": 0.008}
RIGHT = {PLAIN: {16: 95.0, LARGE: 85.0}, SAM: {16: 95.5, LARGE: 94.5}, ASAM: {16: 95.0, LARGE: 88.0}}
SHARP = {PLAIN: 8.0, SAM: 2.0, ASAM: 8.0}
EPOCHS = 10


def place(trial):
    """Optimizer, method, batch size and rate of a trial."""
    found = settings(trial)
    name = "SGD" if trial.recipe.endswith("sgd") else "Adam"
    method = PLAIN if not found["rho"] else ASAM if found.get("adaptive") else SAM
    return name, method, found["batch_size"], found["lr"]


class Made(Results):
    """Results in memory: accuracy falls with the distance from the best rate; `lost` trials diverged, `absent` not run."""

    machine_class = "no machine"

    def __init__(self, *, absent=lambda trial: False, lost=lambda trial: False, right=RIGHT, levels=("0.5", "0.2")):
        super().__init__(SimpleNamespace(warnings=[]))
        self.absent, self.lost, self.right, self.levels = absent, lost, right, levels
        self._curves = {}

    def id(self, trial):
        return trial.label

    def accuracy(self, trial):
        name, method, batch, rate = place(trial)
        return self.right[method][batch] - 5 * abs(math.log(rate / BEST[name])) + trial.seed + 0.01 * trial.seed**2

    def run(self, trial):
        if self.absent(trial):
            return None
        rows = self.curves(trial)
        last = {name: part["value"].iloc[-1] for name, part in rows.groupby("metric")}
        return SimpleNamespace(
            status="diverged" if self.lost(trial) else "finished",
            outcome={
                "kept": {f"loss-{level}": {} for level in self.levels}, "last": last, "epochs": EPOCHS,
                "steps": 10 * EPOCHS, "seconds": 3.0 * PASSES[place(trial)[1]], "stop_reason": "budget",
            },
        )  # fmt: skip

    def curves(self, trial):
        if self.absent(trial):
            return None
        if trial not in self._curves:
            self._curves[trial] = self._made(trial)
        return self._curves[trial]

    def _made(self, trial):
        epochs = np.arange(EPOCHS + 1.0)
        value = self.accuracy(trial) / 100 * epochs / EPOCHS  # a straight line: half of it at half of the budget
        return pd.concat([
            pd.DataFrame({"step": 10 * epochs, "epoch": epochs, "examples": 100 * epochs, "metric": name, "value": rows})
            for name, rows in {
                "test_accuracy": value, "train_accuracy": value, "validation_accuracy": value, "train_loss": 1 - value,
                "validation_loss": 1 - value,
            }.items()
        ])  # fmt: skip

    def measured(self, wanted):
        (trial, weights), *_ = wanted.of
        if wanted.kind == "steps":
            seconds = {method: 0.1 * passes for method, passes in PASSES.items()}
            return {"seconds": seconds, "ratios": {method: [1.0 * passes] for method, passes in PASSES.items()}}
        seed = 1 + 0.1 * trial.seed
        value = SHARP[place(trial)[1]] * seed * (1 if weights == "final" else 10)
        return {"value": value, "lambda_max": value}


def draw(name, results, chosen=PLAN):
    return ARTIFACTS[name].draw(chosen, results)


# The choice -----------------------------------------------------------------------------------------------------------
def test_the_rate_of_the_best_validation_accuracy_is_chosen_then_rho():
    for cell in cells(PLAN):
        setting = chosen(PLAN, Made(), cell)
        radii = PROBLEMS["demo"][cell.network].radii[cell.method]
        assert setting == Setting(BEST[cell.network], radii[0])


def test_a_test_example_has_no_say():
    class Turned(Made):
        def curves(self, trial):
            rows = super().curves(trial)
            test = rows["metric"] == "test_accuracy"
            return rows.assign(value=rows["value"].where(~test, 1 - rows["value"]))

    assert chosen(PLAN, Turned(), Cell("SGD", SAM, 16)) == chosen(PLAN, Made(), Cell("SGD", SAM, 16))


def test_nothing_follows_before_all_candidates_of_a_cell_are_there():
    cell = Cell("SGD", SAM, 16)
    first = run(PLAN, cell, grid(PLAN, cell)[0], 0)
    results = Made(absent=lambda trial: trial == first)
    assert chosen(PLAN, results, cell) is None
    labels = {trial.label for trial in following(PLAN, results)}
    assert not any(label.startswith("SGD SAM, batch 16") for label in labels)
    assert any(label.startswith("SGD SAM, batch 256") for label in labels)


def test_a_candidate_that_diverged_is_not_chosen():
    cell = Cell("SGD", PLAIN, 16)
    results = Made(lost=lambda trial: place(trial)[3] == BEST["SGD"])
    assert chosen(PLAN, results, cell).rate != BEST["SGD"]


def test_the_winner_of_the_candidates_is_the_first_of_the_final_runs():
    results = Made()
    for cell, runs in settled(PLAN, results).items():
        assert runs[0] in [run(PLAN, cell, setting, 0) for setting in grid(PLAN, cell)]
        assert [trial.seed for trial in runs] == [0, 1, 2]
    everything = trials(STUDY, PLAN, results)
    assert len(everything) == len(candidates(PLAN)) + 2 * len(cells(PLAN))  # two seeds more in every cell


def test_a_rate_beyond_the_end_of_the_grid_that_does_best_is_tried_too():
    at = replace(plan(STUDY, "laptop"), networks=("SGD",))
    cell = Cell("SGD", SAM, 128)

    class Peak(Made):
        def __init__(self, rate):
            super().__init__()
            self.rate = rate

        def accuracy(self, trial):
            return 90 - abs(math.log(place(trial)[3] / self.rate))

    def tried(rate):
        return [setting.rate for setting in rates(at, Peak(rate), cell)]

    assert tried(0.04) == [0.01, 0.04, 0.16, 0.64]
    assert tried(0.001) == tried(0.01) == [0.0025, 0.01, 0.04, 0.16, 0.64]
    assert tried(100) == [0.01, 0.04, 0.16, 0.64, 2.56]
    assert chosen(at, Peak(2.56), cell).rate == 2.56
    labels = {trial.label for trial in following(at, Peak(2.56))}
    assert "SGD SAM, batch 128, rate 2.56, rho 0.1, seed 0" in labels
    assert not any("rate 0.0025" in label for label in labels)
    edges = best_rates(at, Peak(100)).set_index(["optimizer", "method", "batch"])["edge"]
    assert edges.loc[("SGD", SAM, 128)]
    assert not best_rates(at, Peak(0.0101)).set_index(["optimizer", "method", "batch"])["edge"].loc[("SGD", SAM, 128)]


@pytest.mark.parametrize("scale", SCALES)
def test_every_candidate_is_a_run_of_its_own(scale):
    at = plan(STUDY, scale)
    results = Results(SimpleNamespace(is_done=lambda key: False, fingerprints=lambda source: []))
    ids = {results.id(trial) for trial in candidates(at)}
    assert len(ids) == len(candidates(at))


# The relation of rate and batch ---------------------------------------------------------------------------------------
def test_the_vertex_of_a_parabola_in_log_rate_is_found():
    grid = [0.01, 0.04, 0.16, 0.64]
    scores = [90 - (math.log(rate) - math.log(0.05)) ** 2 for rate in grid]
    assert vertex(grid, scores) == pytest.approx(0.05)
    assert vertex(grid, [4, 3, 2, 1]) == 0.01
    assert vertex(grid, [-math.inf, 3, 2, 1]) == 0.04
    assert vertex(grid, [0.34, 0.38, 0.1, 0.1]) == 0.04  # beside a collapse


class Growing(Made):
    """Whose best rate grows with the batch by a power."""

    def __init__(self, exponent):
        super().__init__()
        self.exponent = exponent

    def accuracy(self, trial):
        _, _, batch, rate = place(trial)
        return 90 - math.log(rate / (0.04 * (batch / 128) ** self.exponent)) ** 2


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_the_power_of_the_best_rate_is_found(exponent):
    at = replace(plan(STUDY, "laptop"), networks=("SGD",))
    found = power(at, Growing(exponent), "SGD", PLAIN)
    assert found.estimate == pytest.approx(exponent, abs=1e-6)
    assert found.n == 4
    assert found.high - found.low < 1e-3
    claim = judged(STUDY, at, Growing(exponent))["surlemont-rate-sgd-plain"]
    assert (claim.verdict, claim.n_seeds) == ("inconclusive", 1)  # candidates of one seed decide nothing
    assert claim.measured == pytest.approx(exponent, abs=1e-6)
    assert claim.uncertainty == (found.low, found.high)
    assert claim.rule.endswith("the candidates have one seed, and a verdict asks for at least 3 seeds")
    assert prose.reason(vars(claim)) == "fewer seeds than the rule asks for"


def test_bounds_are_no_values():
    at = replace(plan(STUDY, "laptop"), networks=("SGD",))
    results = Growing(4.0)  # beyond both ends
    best = best_rates(at, results)
    assert best[best["method"] == PLAIN]["edge"].sum() == 3
    assert power(at, results, "SGD", PLAIN) is None
    claim = judged(STUDY, at, results)["surlemont-rate-sgd-plain"]
    assert claim.verdict == "inconclusive"
    assert "of 4, 3 left out as bounds" in claim.rule
    assert best_rates(PLAN, Made())["edge"].all()  # a grid of two has nothing but ends
    assert power(PLAN, Made(), "SGD", PLAIN) is None


class Tied(Made):
    """The two lowest rates have one best accuracy, the second of them the lower loss."""

    def accuracy(self, trial):
        return {0.01: 80.0, 0.04: 80.0, 0.16: 70.0, 0.64: 60.0}[place(trial)[3]]

    def _made(self, trial):
        rows = super()._made(trial)
        rows.loc[rows["metric"] == "validation_loss", "value"] = abs(place(trial)[3] - 0.04)
        return rows


def test_of_two_equal_accuracies_choice_and_relation_take_the_same():
    at, results = replace(plan(STUDY, "laptop"), networks=("SGD",)), Tied()
    assert chosen(at, results, Cell("SGD", PLAIN, 32)).rate == 0.04
    best = best_rates(at, results)
    assert not best["edge"].any()  # the lowest rate as good is no bound
    assert best["rate"].tolist() == pytest.approx([0.02] * len(best))


# The frames -----------------------------------------------------------------------------------------------------------
def test_equal_gradients_are_half_the_epochs_of_sam():
    found = ends(PLAN, Made()).set_index(["optimizer", "method", "batch", "seed"])
    plain, sam = found.loc["SGD", PLAIN, 16, 0], found.loc["SGD", SAM, 16, 0]
    assert plain["equal_gradients"] == plain["accuracy"]
    assert sam["equal_gradients"] == pytest.approx(sam["accuracy"] * 3 / 8)  # means over epochs 1 to 5 and 6 to 10
    assert sam["gradients"] == 2 * plain["gradients"]


def test_accuracies_are_means_over_the_last_evaluations():
    results, cell = Made(), Cell("SGD", PLAIN, 16)
    trial = run(PLAN, cell, Setting(BEST["SGD"], 0.0), 0)
    rows = results.curves(trial)
    last = rows[rows["metric"] == "test_accuracy"]["value"].to_numpy()[-5:]
    found = ends(PLAN, results).set_index(["optimizer", "method", "batch", "seed"])
    assert found.loc["SGD", PLAIN, 16, 0]["accuracy"] == pytest.approx(100 * last.mean())
    assert score(PLAN, results, cell, Setting(BEST["SGD"], 0.0))[0] == pytest.approx(last.mean())


def test_a_run_that_ended_early_stays_where_it_was():
    class Early(Made):
        def curves(self, trial):
            rows = super().curves(trial)
            return rows[rows["epoch"] <= 4] if place(trial)[1] == SAM else rows

    found = ends(PLAN, Early()).set_index(["optimizer", "method", "batch", "seed"])
    sam = found.loc["SGD", SAM, 16, 0]
    assert sam["equal_gradients"] == sam["accuracy"]
    plain = found.loc["SGD", PLAIN, 16, 0]
    assert plain["equal_gradients"] == plain["accuracy"] == ends(PLAN, Made())["accuracy"].iloc[0]  # whatever SAM did


def test_a_run_that_diverged_limits_no_other():
    results = Made(lost=lambda trial: place(trial)[:3] == ("SGD", SAM, LARGE) and trial.seed == 1)
    found = ends(PLAN, results).set_index(["optimizer", "method", "batch", "seed"])
    assert math.isnan(found.loc["SGD", SAM, LARGE, 1]["accuracy"])
    plain = found.loc["SGD", PLAIN, LARGE, 1]
    assert plain["equal_gradients"] == plain["accuracy"]


def test_matched_loss_is_a_level_that_all_methods_passed():
    found = matched(PLAN, Made())
    assert set(found["low"]) == set(found["high"]) == {0.2}
    assert set(found["batch"]) == {LARGE}

    class Slow(Made):
        def kept(self, trial):
            return {"loss-0.5": {"loss": 0.4}} if place(trial)[1] == ASAM else super().kept(trial)

    assert set(matched(PLAN, Slow())["low"]) == {0.4}
    assert set(matched(PLAN, Slow())["high"]) == {0.5}
    assert matched(PLAN, Made(levels=())).empty


def test_what_is_measured_is_what_is_read():
    results = Made()
    wanted = set(measures(PLAN, results))
    cell = Cell("Adam", ASAM, LARGE)
    trial = settled(PLAN, results)[cell][2]
    for name in MATCHED:
        assert measure(PLAN, cell, trial, name) in wanted
        assert measure(PLAN, cell, trial, name, "loss-0.2") in wanted


# Figures and tables ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ARTIFACTS)
def test_nothing_is_drawn_before_anything_has_run(name):
    assert draw(name, Made(absent=lambda trial: True)) is None


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_can_be_drawn_also_with_a_diverged_run(name, tmp_path):
    for lost in (lambda trial: False, lambda trial: place(trial)[:3] == ("SGD", ASAM, LARGE)):
        figure, frame = draw(name, Made(lost=lost))
        figure.savefig(tmp_path / f"{name}.png")
        assert len(frame)


@pytest.mark.parametrize("name", [name for name in ARTIFACTS if name not in FIGURES])
def test_every_table_has_a_line_for_what_has_run(name):
    table, frame = draw(name, Made(absent=lambda trial: trial.recipe.endswith("adam")))
    assert set(frame["optimizer"]) == {"SGD"}
    assert "SGD" in table.tex


def test_the_table_says_by_how_much_at_each_batch_size():
    _, frame = draw("flatter", Made())
    found = frame.set_index(["optimizer", "batch", "method"])
    assert set(frame["batch"]) == {16, LARGE}
    assert found.loc[("SGD", 16, "SAM"), "box / plain"] == "0.25 [0.25, 0.25]"
    assert found.loc[("SGD", 16, "ASAM"), "λ_max / plain"] == "1.00 [1.00, 1.00]"


def test_runs_that_ended_by_the_budget_are_counted():
    _, frame = draw("runtime", Made())
    assert set(frame["ended by the budget"]) == {"3 of 3"}


def test_the_time_of_a_training_is_that_of_its_updates():
    _, frame = draw("runtime", Made())
    found = frame.set_index(["optimizer", "batch", "method"])
    assert found.loc[("SGD", 16, METHODS[SAM]), "step / plain"] == "2.00"
    assert found.loc[("SGD", 16, METHODS[SAM]), "ms a step"] == "200"
    assert found.loc[("SGD", 16, METHODS[SAM]), "training (s)"].startswith("20")  # of 100 updates
    assert found.loc[("SGD", 16, METHODS[PLAIN]), "training (s)"].startswith("10")
    assert timing(PLAN, Cell("SGD", PLAIN, 16), settled(PLAN, Made())[Cell("SGD", PLAIN, 16)][0]) in timings(
        PLAN, Made()
    )


def test_a_step_of_more_than_a_second_has_no_exponent():
    class Slow(Made):
        def measured(self, wanted):
            found = super().measured(wanted)
            return (
                found | {"seconds": {m: 14 * s for m, s in found["seconds"].items()}}
                if wanted.kind == "steps"
                else found
            )

    _, frame = draw("runtime", Slow())
    assert set(frame["ms a step"]) == {"1400", "2800"}


# The claims -----------------------------------------------------------------------------------------------------------
def test_the_claims_are_judged_by_what_was_measured(tmp_path):
    found = judged(STUDY, PLAN, Made())
    verdicts = {name: claim.verdict for name, claim in found.items()}
    assert verdicts["surlemont-gap-sgd"] == "reproduced"
    assert verdicts["surlemont-closes-sgd-sam"] == "reproduced"  # half a point is left
    assert verdicts["surlemont-closes-sgd-asam"] == "not reproduced"  # seven are
    assert verdicts["surlemont-ahead-sgd-sam"] == "reproduced"
    assert verdicts["surlemont-worth-sgd-sam"] == "not reproduced"  # at half of its epochs it has half of its accuracy
    for name in (BOX, BALL, TOP):
        claim = found[f"surlemont-flatter-{name}-sgd-sam"]
        assert (claim.verdict, claim.measured) == ("reproduced", pytest.approx(0.25))
        assert found[f"surlemont-flatter-{name}-sgd-sam-matched"].measured == pytest.approx(0.25)
        assert found[f"surlemont-flatter-{name}-sgd-asam"].verdict != "reproduced"
    assert verdicts["surlemont-at-16-sgd-sam"] == "reproduced"
    assert verdicts["surlemont-at-16-sgd-asam"] != "reproduced"
    assert found["surlemont-rate-sgd-plain"].measured is None  # a grid of two has nothing but ends
    assert verdicts["surlemont-rate-sgd-plain"] == "inconclusive"
    write_claims(tmp_path / "claims.json", found.values())
    assert read_claims(tmp_path / "claims.json") == list(found.values())


def test_by_every_measure_is_by_the_one_that_is_least_in_favour():
    class Sharper(Made):
        def measured(self, wanted):
            found = super().measured(wanted)
            (trial, _), *_ = wanted.of
            sharper = wanted.kind == "eigenvalues" and place(trial)[1] == SAM and place(trial)[2] == 16
            return found | {"lambda_max": 8 * found["lambda_max"]} if sharper else found

    claim = judged(STUDY, PLAN, Sharper())["surlemont-at-16-sgd-sam"]
    assert (claim.verdict, claim.measured) == ("not reproduced", pytest.approx(2.0))
    assert "by the measure whose interval reaches highest (the top Hessian eigenvalue)" in claim.rule

    class Partly(Made):
        def measured(self, wanted):
            return None if wanted.kind == "ball" else super().measured(wanted)

    assert judged(STUDY, PLAN, Partly())["surlemont-at-16-sgd-sam"].verdict == "not run"


def test_a_gap_of_time_is_told_from_one_of_generalisation():
    """The small batch learns faster, and both have one test accuracy at one training loss."""
    found = judged(STUDY, PLAN, Made())
    assert found["surlemont-gap-sgd"].measured == pytest.approx(8, abs=0.1)
    equal = found["surlemont-equal-loss-sgd"]
    assert (equal.verdict, equal.measured) == ("not reproduced", pytest.approx(0, abs=1e-6))
    ahead = found["surlemont-overfit-sgd"]
    assert (ahead.verdict, ahead.measured) == ("not reproduced", pytest.approx(0, abs=1e-6))

    class Overfitting(Made):
        """The training accuracy of the large batch is 6 points above the test accuracy, its loss as much lower."""

        def _made(self, trial):
            rows = super()._made(trial)
            if place(trial)[2] == LARGE:
                train = rows["metric"].str.startswith("train") & (rows["epoch"] > 0)
                rows.loc[train, "value"] += np.where(rows.loc[train, "metric"] == "train_loss", -0.06, 0.06)
            return rows

    found = judged(STUDY, PLAN, Overfitting())
    assert found["surlemont-overfit-sgd"].measured == pytest.approx(6)
    assert found["surlemont-overfit-sgd"].verdict == "reproduced"
    assert found["surlemont-equal-loss-sgd"].measured == pytest.approx(6)
    lost = Made(lost=lambda trial: place(trial)[:3] == ("SGD", PLAIN, LARGE) and trial.seed == 1)
    assert "diverged" in judged(STUDY, PLAN, lost)["surlemont-equal-loss-sgd"].rule


def test_what_has_not_been_measured_yet_has_not_diverged():
    class Unmeasured(Made):
        def measured(self, wanted):
            return None if wanted.kind == "ball" else super().measured(wanted)

    found = judged(STUDY, PLAN, Unmeasured())["surlemont-flatter-ball-sgd-sam"]
    assert (found.verdict, found.n_seeds) == ("not run", 0)
    assert "diverged" not in found.rule


def test_nothing_is_claimed_before_anything_has_run():
    found = judged(STUDY, PLAN, Made(absent=lambda trial: True))
    assert {claim.verdict for claim in found.values()} == {"not run"}


def test_the_discussion_answers_by_verdict():
    claims = [vars(claim) for claim in judged(STUDY, PLAN, Made()).values()]
    text = prose.answer(claims, "surlemont-closes-sgd")
    assert text.startswith("Yes: SGD: with SAM the large batch comes within 1 point of the small one without (0.4")
    assert " No: SGD: with ASAM the large batch comes within 1 point of the small one without (5" in text
    assert prose.answer(claims, "unknown") == ""
    gathered = prose.gathered(claims, "surlemont-at", "surlemont-flatter")
    assert gathered[:2] == [
        "SGD: at batch 16 SAM finds flatter minima: yes by every measure (0.250).",
        "SGD: at the large batch SAM finds flatter minima: yes by Keskar's box (0.250), the ball (0.250), the adaptive"
        " ball (0.250) and the top Hessian eigenvalue (0.250).",
    ]
    assert [sentence.partition(": undecided by")[0] for sentence in gathered[3:6]] == [
        "SGD: at batch 16 ASAM finds flatter minima",
        "SGD: at the large batch ASAM finds flatter minima",
        "SGD: at the large batch ASAM finds flatter minima, at matched training loss",
    ]
