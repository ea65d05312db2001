"""The paper's numbers, and the rules of its claims on results made by hand."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from bsgap.data.sources import NAMES
from reproduce.papers import keskar
from reproduce.papers.keskar import claims, facts, figures, tables, trials
from reproduce.papers.keskar.trials import METHODS, READINGS, SETTINGS
from reproduce.results import Results
from reproduce.study import SCALES, Plan

ARTIFACTS = {artifact.name: artifact for artifact in keskar.STUDY.artifacts}


class ByHand(Results):
    """Results that a test makes up: `outcomes` of trials, and `found` for measures."""

    machine_class = "no machine"

    def __init__(self):
        self.data_root, self.outcomes, self.found, self.tables = None, {}, {}, {}

    def finish(self, trial, *kept, status="finished"):
        moments = {name: {"step": 1, "epoch": 1.0, "loss": 0.1} for name in ("initial", "final", *kept)}
        self.outcomes[trial] = SimpleNamespace(status=status, outcome={"kept": moments})

    def run(self, trial):
        return self.outcomes.get(trial)

    def curves(self, trial):
        return self.tables.get(trial)

    def measured(self, measure):
        return self.found.get(measure)


def plan(scale="laptop", network="F1", seeds=5, **more):
    return replace(Plan("keskar", scale, (network,), {network: seeds}, {}, tuple(ARTIFACTS)), **more)


def judged(plan, results):
    return {claim.id: claim for claim in keskar.STUDY.claims(plan, results)}


# The paper's numbers, as read in a copy of its text


@pytest.mark.parametrize(
    ("table", "network", "column", "reported"),
    [
        ("table2", "F1", "train SB", (99.66, 0.05)), ("table2", "F1", "test SB", (98.03, 0.07)),
        ("table2", "F1", "test LB", (97.81, 0.07)), ("table2", "F2", "train LB", (98.35, 2.08)),
        ("table2", "C1", "test SB", (80.04, 0.12)), ("table2", "C1", "test LB", (77.26, 0.42)),
        ("table2", "C3", "train SB", (99.56, 0.44)), ("table2", "C4", "test LB", (57.81, 0.17)),
        ("table3", "F1", "1e-3 SB", (1.23, 0.83)), ("table3", "F1", "1e-3 LB", (205.14, 69.52)),
        ("table3", "F1", "5e-4 LB", (42.90, 17.14)), ("table3", "C1", "1e-3 SB", (28.58, 3.13)),
        ("table3", "C1", "1e-3 LB", (707.23, 43.04)), ("table3", "C2", "5e-4 SB", (2.07, 0.86)),
        ("table3", "C4", "5e-4 LB", (109.35, 16.57)),
        ("table4", "F1", "1e-3 LB", (9.22, 0.56)), ("table4", "F1", "5e-4 LB", (9.17, 0.14)),
        ("table4", "F2", "1e-3 LB", (23.63, 0.54)), ("table4", "C1", "1e-3 SB", (2.18, 0.23)),
        ("table4", "C3", "1e-3 LB", (236.03, 31.26)), ("table4", "C4", "5e-4 SB", (1.89, 0.33)),
    ],
)  # fmt: skip
def test_reported_numbers(table, network, column, reported):
    found = facts.reported(table)
    assert tuple(found["rows"][network][found["columns"].index(column)]) == reported
    assert set(found["rows"]) == {"F1", "F2", "C1", "C2", "C3", "C4"}


def test_reported_frames_are_tidy():
    whole = plan(networks=("F1",), not_run={"C1": "too large"})
    frame = facts.reported_frame("table3", whole)
    assert frame["row"].unique().tolist() == ["F1", "C1"]
    assert frame["group"].unique().tolist() == ["ε = 1e-3", "ε = 5e-4"]
    cell = frame.query("row == 'C1' and group == 'ε = 5e-4' and column == 'LB'").iloc[0]
    assert (cell["mean"], cell["std"], cell["source"]) == (227.31, 23.23, "P")
    assert "group" not in facts.reported_frame("table2", whole)


def test_reported_effects():
    assert facts.reported_gap("F1") == pytest.approx(0.22)
    assert facts.reported_gap("C1") == pytest.approx(2.78)
    assert facts.reported_ratio("C1") == pytest.approx(707.23 / 28.58)
    assert facts.reported_gap("small") is facts.reported_ratio("small") is None


@pytest.mark.parametrize(
    ("network", "alpha", "train_loss", "test_loss", "train_accuracy", "test_accuracy"),
    [
        ("C1", -1, 0.8825, 2.0669, 74.87, 59.41), ("C1", 0, 0.0011, 1.1740, 99.974, 80.52),
        ("C1", 1, 0.0004, 1.3272, 99.996, 77.26), ("C1", 1.25, 7.1253, 7.3121, 21.53, 20.89),
        ("C2", 1, 0.0004, 0.6108, 99.992, 89.17), ("C2", 2, 6.0475, 6.0225, 6.18, 6.27),
        ("C3", 0, 0.0182, 3.1994, 99.750, 48.26), ("C3", 0.75, 2.3247, 4.3620, 50.74, 32.42),
        ("C4", 0, 0.0368, 1.9192, 99.100, 63.73), ("C4", 1, 0.0148, 2.1664, 99.576, 64.31),
    ],
)  # fmt: skip
def test_the_authors_curves(network, alpha, train_loss, test_loss, train_accuracy, test_accuracy):
    curves = facts.authors_curves(plan("paper", network), [network])
    assert len(curves) == 2 * 25
    at = curves[curves["alpha"] == alpha].set_index("split")
    assert at.loc["train", ["loss", "accuracy"]].tolist() == pytest.approx([train_loss, train_accuracy], abs=6e-3)
    assert at.loc["test", ["loss", "accuracy"]].tolist() == pytest.approx([test_loss, test_accuracy], abs=6e-3)


def test_the_authors_curves_are_drawn_only_where_network_and_data_are_theirs():
    assert facts.authors_curves(plan("laptop", "C1"), ["C1"]) is None  # a subset
    assert facts.authors_curves(plan("paper", "F1"), ["F1"]) is None  # none in their code
    assert facts.authors_curves(plan("gpu", "C1"), ["C1"]) is not None


# What the study declares


@pytest.mark.parametrize("scale", SCALES)
def test_every_network_of_the_paper_runs_or_is_said_not_to(scale):
    named = set(keskar.STUDY.networks[scale]) | set(keskar.STUDY.absent.get(scale, {}))
    assert named - {"small"} == {"F1", "F2", "C1", "C2", "C3", "C4"}
    assert set(SETTINGS[scale]) == set(keskar.STUDY.networks[scale])


@pytest.mark.parametrize(
    ("scale", "network", "setting"),
    [(scale, network, setting) for scale in SCALES for network, setting in SETTINGS[scale].items()],
)
def test_settings(scale, network, setting):
    examples = {"digits": 1000, "mnist": 60_000, "cifar10": 50_000, "cifar100": 50_000, "timit": 721_329}
    source = keskar.STUDY.data(network, scale)
    assert source in NAMES
    whole = 5000 if "5,000 images" in setting.data else examples[source]
    assert setting.large == round(0.1 * whole)
    for batches in (setting.sweep, setting.starts):
        assert list(batches) == sorted(set(batches))
    if setting.sweep:
        assert {setting.small, setting.large} <= set(setting.sweep)
    assert bool(setting.starts) == bool(setting.warm_epochs)
    if scale == "paper":
        assert setting.small == 256
        assert setting.examples is None
        assert "analogue" not in setting.data


def test_a_pair_starts_from_the_same_seed_and_differs_in_the_batch_only():
    small, large = (trials.main(plan(), "F1", method, 3) for method in METHODS)
    assert (small.seed, large.seed) == (3, 3)
    assert small.overrides == (("data.init_args.batch_size", 256),)
    assert large.overrides == (("data.init_args.batch_size", 6000),)


def test_fig4_shares_the_runs_of_the_pairs_but_at_the_published_protocol():
    assert trials.sweep(plan(), "F1", 256, 0) == trials.main(plan(), "F1", "SB", 0)
    own = trials.sweep(plan("paper", "C1"), "C1", 256, 0)
    assert dict(own.overrides) == {
        "data.init_args.batch_size": 256, "trainer.max_epochs": 100, "stopping.patience": 0,
    }  # fmt: skip


def test_a_pair_is_measured_in_the_same_subspace():
    measures = tables.subspace_measures(plan(seeds=2), ByHand())
    seeds = {(measure.of[0][0].seed, dict(measure.options)["seed"]) for measure in measures}
    assert seeds == {(0, 0), (1, 1)}
    assert {dict(measure.options)["subspace"] for measure in measures} == {100}


def test_the_path_has_the_authors_points():
    options = dict(trials.path(plan(), "F1", 0, "linear").options)
    alphas = [options["low"] + (options["high"] - options["low"]) * k / (options["points"] - 1) for k in range(25)]
    assert alphas == facts.authors_curves(plan("gpu", "C1"), ["C1"])["alpha"].unique().tolist()


def test_levels_are_matched_at_the_lowest_that_both_reached():
    results, chosen = ByHand(), plan()
    small, large = (trials.main(chosen, "F1", method, 0) for method in METHODS)
    assert trials.matched(chosen, results, "F1", 0) is None
    results.finish(small, "loss-1", "loss-0.3", "loss-0.1", "loss-0.03")
    assert trials.matched(chosen, results, "F1", 0) is None
    results.finish(large, "loss-1", "loss-0.3", "loss-0.1", "loss-0.001")
    assert trials.matched(chosen, results, "F1", 0) == "loss-0.1"
    for method in METHODS:
        measure = trials.reading(chosen, results, "F1", method, 0, "(b) matched loss", 1e-3)
        assert measure.of[0][1] == "loss-0.1"
        assert dict(measure.options)["maximiser"] == "sign"
    assert trials.reading(chosen, results, "F1", "SB", 0, "(a) end", 1e-3).of[0][1] == "final"


def test_without_a_run_nothing_is_drawn_and_no_claim_is_judged():
    for network, scale in (("small", "demo"), ("F1", "laptop")):
        chosen = plan(scale, network)
        for artifact in ARTIFACTS.values():
            assert artifact.draw(chosen, ByHand()) is None, artifact.name
        assert {claim.verdict for claim in judged(chosen, ByHand()).values()} == {"not run"}


# The rules


def sharp(results, chosen, name, ratios, small=10.0):
    """Give every seed a pair whose sharpness by the reading differs by a ratio."""
    for seed, ratio in enumerate(ratios):
        for method in METHODS:
            trial = trials.main(chosen, "F1", method, seed)
            results.finish(trial, "loss-0.1", status="finished" if math.isfinite(ratio) else "diverged")
        for method, value in zip(METHODS, (small, small * ratio), strict=True):
            measure = trials.reading(chosen, results, "F1", method, seed, name, 1e-3)
            results.found[measure] = {"value": value}


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ([8.0, 9.0, 10.0], "reproduced"),
        ([0.9, 1.0, 1.1], "not reproduced"),
        ([1.0, 4.0, 16.0], "inconclusive"),
        ([8.0, 9.0], "inconclusive"),  # two seeds
    ],
)
@pytest.mark.parametrize(("name", "suffix"), [("(b) matched loss", ""), ("(a) end", "-a-end"), ("(b) end", "-b-end")])
def test_sharper_by_a_factor_of_two(ratios, verdict, name, suffix):
    results, chosen = ByHand(), plan(seeds=len(ratios))
    sharp(results, chosen, name, ratios)
    claim = judged(chosen, results)[f"keskar-sharper-f1{suffix}"]
    assert claim.verdict == verdict
    assert claim.measured == pytest.approx(math.exp(np.mean(np.log(ratios))))
    assert claim.reported == "167 (D, from P)"
    assert name in claim.rule


def test_a_sharpness_of_zero_is_judged_too():
    results, chosen = ByHand(), plan(seeds=3)
    sharp(results, chosen, "(a) end", [1.0] * 3, small=0.0)
    claim = judged(chosen, results)["keskar-sharper-f1-a-end"]
    assert (claim.measured, claim.verdict) == (1.0, "not reproduced")


def test_a_diverged_run_leaves_sharpness_inconclusive():
    results, chosen = ByHand(), plan(seeds=4)
    sharp(results, chosen, "(a) end", [8.0, 9.0, 10.0, math.nan])
    claim = judged(chosen, results)["keskar-sharper-f1-a-end"]
    assert (claim.n_seeds, claim.verdict) == (3, "inconclusive")
    assert "1 left out because a run diverged" in claim.rule


def test_a_run_that_diverged_before_any_common_level_counts_as_diverged():
    results, chosen = ByHand(), plan(seeds=4)
    sharp(results, chosen, "(b) matched loss", [8.0, 9.0, 10.0])
    results.finish(trials.main(chosen, "F1", "SB", 3), "loss-0.1")
    results.finish(trials.main(chosen, "F1", "LB", 3), status="diverged")
    claim = judged(chosen, results)["keskar-sharper-f1"]
    assert claim.verdict == "inconclusive"


def accurate(results, chosen, network, gaps):
    for seed, gap in enumerate(gaps):
        for method, value in zip(METHODS, (0.98, 0.98 - gap / 100), strict=True):
            trial = trials.main(chosen, network, method, seed)
            results.finish(trial)
            results.found[trials.evaluation(chosen, network, trial)] = {"test_accuracy": value, "train_accuracy": 1.0}


@pytest.mark.parametrize(
    ("network", "scale", "gaps", "verdict", "minimal"),
    [
        ("F1", "laptop", [0.20, 0.22, 0.21, 0.22, 0.23], "reproduced", 0.11),
        ("F1", "laptop", [0.01, 0.02, 0.00, 0.03, 0.01], "not reproduced", 0.11),
        ("F1", "laptop", [0.20, 0.22, 0.21, 0.22], "inconclusive", 0.11),  # fewer than five seeds
        ("C1", "laptop", [2.7, 2.8, 2.9, 2.6, 2.8], "reproduced", 1.39),
        ("small", "demo", [0.9, 1.0, 1.1, 0.8, 1.2], "reproduced", 0.5),
    ],
)
def test_the_gap_is_half_of_what_is_reported_over_five_seeds(network, scale, gaps, verdict, minimal):
    results, chosen = ByHand(), plan(scale, network, len(gaps))
    accurate(results, chosen, network, gaps)
    claim = judged(chosen, results)[f"keskar-gap-{network.lower()}"]
    assert (claim.verdict, claim.n_seeds) == (verdict, len(gaps))
    assert claim.measured == pytest.approx(np.mean(gaps))
    assert f"above {minimal:g}, at least 5 seeds" in claim.rule


def curve(accuracies):
    rows = [(step, float(step), step, "test_accuracy", value / 100) for step, value in enumerate(accuracies)]
    return pd.DataFrame(rows, columns=["step", "epoch", "examples", "metric", "value"])


@pytest.mark.parametrize(
    ("accuracies", "lost"),
    [
        ([10, 50, 60, 70, 80, 90], 0.0),  # rises to the end
        ([10, 90, 90, 90, 90, 90, 80, 80, 80, 80, 80], 10.0),  # a peak, and then a decay
        ([10, 50, 60, 99, 60, 61, 60, 62, 60, 61], 0.0),  # one lucky epoch is no peak
        ([10, 80, 80, 80, 80, 80, 20], 0.0),  # and one unlucky one no decay
        ([90, 50, 50, 50, 50, 50], 0.0),  # the random start does not count
        ([10], math.nan),
    ],
)
def test_peak_loss(accuracies, lost):
    assert claims.peak_loss(curve(accuracies)) == pytest.approx(lost, nan_ok=True)


def test_no_peak_is_reproduced_where_less_than_a_point_is_lost():
    results, chosen = ByHand(), plan(seeds=3)
    for seed, end in enumerate((90, 89.8, 89.9)):
        trial = trials.main(chosen, "F1", "LB", seed)
        results.finish(trial)
        results.tables[trial] = curve([10, *[90] * 5, *[end] * 5])
    assert judged(chosen, results)["keskar-no-peak-f1"].verdict == "reproduced"
    for seed in range(3):
        results.tables[trials.main(chosen, "F1", "LB", seed)] = curve([10, *[90] * 5, *[80 + seed] * 5])
    assert judged(chosen, results)["keskar-no-peak-f1"].verdict == "not reproduced"


def test_the_distance_is_a_ratio_of_one_and_a_half():
    results, chosen = ByHand(), plan(seeds=3)
    for seed in range(3):
        for method, distance in zip(METHODS, (30.0 + seed, 10.0), strict=True):
            results.finish(trials.main(chosen, "F1", method, seed))
            results.found[trials.travelled(chosen, "F1", method, seed)] = {"distance": distance}
    claim = judged(chosen, results)["keskar-closer-f1"]
    assert (claim.verdict, claim.measured) == ("reproduced", pytest.approx((3.0 * 3.1 * 3.2) ** (1 / 3)))
    results.outcomes[trials.main(chosen, "F1", "LB", 2)].status = "diverged"
    claim = judged(chosen, results)["keskar-closer-f1"]
    assert (claim.verdict, claim.n_seeds) == ("inconclusive", 2)


def test_warm_start_is_judged_at_the_latest_start_that_was_reached():
    results, chosen = ByHand(), plan(seeds=4)
    for seed in range(3):
        results.finish(trials.main(chosen, "F1", "SB", seed), "epoch-1", "epoch-2")
        runs = {
            trials.warm(chosen, "F1", 2, seed): (0.99 + seed / 1e4, 5.0),
            trials.main(chosen, "F1", "LB", seed): (0.97, 50.0),
        }
        for trial, (accuracy, sharpness) in runs.items():
            results.finish(trial)
            results.found[trials.evaluation(chosen, "F1", trial)] = {"test_accuracy": accuracy}
            results.found[trials.sharpness(chosen, "F1", trial, "final", "sign", 1e-3)] = {"value": sharpness + seed}
    found = judged(chosen, results)
    assert found["keskar-warm-accuracy-f1"].verdict == "reproduced"
    assert found["keskar-warm-accuracy-f1"].measured == pytest.approx(2.01)
    assert found["keskar-warm-sharpness-f1"].verdict == "reproduced"
    assert {found[f"keskar-warm-{name}-f1"].n_seeds for name in ("accuracy", "sharpness")} == {3}


def test_a_network_without_fig5_has_no_claim_on_it():
    assert not any("warm" in name for name in judged(plan("laptop", "C1"), ByHand()))


def test_claims_belong_to_the_figures_that_were_asked_for():
    chosen = plan(artifacts=("fig2", "distance"))
    assert list(judged(chosen, ByHand())) == ["keskar-no-peak-f1", "keskar-closer-f1"]


# What is drawn


def test_table2_counts_diverged_runs_and_leaves_them_out():
    results, chosen = ByHand(), plan(seeds=3)
    accurate(results, chosen, "F1", [0.2, 0.2, 0.2])
    results.outcomes[trials.main(chosen, "F1", "LB", 1)].status = "diverged"
    table, _ = ARTIFACTS["table2"].draw(chosen, results)
    cell = table.frame.query("kind == 'ours' and column == 'test LB'").iloc[0]
    assert (cell["mean"], cell["n"], cell["diverged"]) == (pytest.approx(97.8), 2, 1)


def test_the_readings_say_how_far_the_maximisers_went():
    results, chosen = ByHand(), plan(seeds=2)
    sharp(results, chosen, "(a) end", [2.0, 2.0])
    found = {"start_loss": 0.1, "max_loss": 0.3, "share_at_bound": 0.25, "evaluations": 12}
    results.found = {measure: value | found for measure, value in results.found.items()}
    table, _ = ARTIFACTS["readings"].draw(chosen, results)
    assert table.frame.to_dict("records") == [
        {
            "network": "F1", "reading": "(a) end", "method": method, "loss at the start": pytest.approx(0.1),
            "largest loss": pytest.approx(0.3), "at the bound (%)": 25.0, "passes": 12.0,
        }
        for method in METHODS
    ]  # fmt: skip


def test_a_network_whose_every_run_diverged_is_not_drawn():
    results = ByHand()
    chosen = replace(plan(seeds=3), networks=("F1", "C1"), seeds={"F1": 3, "C1": 3})
    for network, status in (("F1", "finished"), ("C1", "diverged")):
        for seed in range(3):
            for method, distance in zip(METHODS, (30.0 + seed, 10.0), strict=True):
                results.finish(trials.main(chosen, network, method, seed), status=status)
                results.found[trials.travelled(chosen, network, method, seed)] = {"distance": distance}
    _, frame = figures.distances(chosen, results)
    assert frame["network"].unique().tolist() == ["F1"]


def test_a_footer_says_how_many_seeds_are_drawn():
    results, chosen = ByHand(), plan(seeds=5)
    frame = pd.DataFrame({"network": "F1", "seed": [0, 1, 2, 2]})
    assert "3 seeds" in figures._footer(chosen, frame, results).text()


def test_every_reading_has_a_claim():
    assert set(claims.READING_CLAIMS) == set(READINGS)


def test_the_facts_name_their_source():
    for path in facts.FACTS.glob("keskar*.json"):
        assert "Keskar et al." in json.loads(path.read_text())["source"]
