"""How the accompanying study chooses rate and rho, and the relation of rate and batch that follows."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rate_runs import judged, plan
from surlemont_runs import BEST, PLAN, Made, place

from reproduce.papers.surlemont import STUDY
from reproduce.papers.surlemont.choice import candidates, chosen, following, grid, rates
from reproduce.papers.surlemont.problems import PLAIN, PROBLEMS, SAM, Cell, Setting, cells, run
from reproduce.papers.surlemont.relation import best_rates, power, vertex
from reproduce.papers.surlemont.trials import settled
from reproduce.planning import trials
from reproduce.report import prose
from reproduce.results import Results
from reproduce.study import SCALES


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
    longest = {trial for trial in everything if "epochs" in trial.label}
    assert len(longest) == 3 * 4 * 2  # of three seeds, at four cells of either optimizer
    assert len(everything) - len(longest) == len(candidates(PLAN)) + 2 * len(cells(PLAN))  # two seeds more a cell


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
