"""The verdict of every claim of hoffer on runs that were made to hold it, to break it, or to leave it open."""

import math

import numpy as np
import pytest
from hoffer_runs import ACCURACY, Synthetic, judged, log_time, of_stage, plan

STEPS = {"gap": 6.0, "step-lr": 3.0, "step-gbn": 1.5, "step-ra": 1.7, "closed": 0.2}


def made(*figures, scale="demo", networks=(), seeds=3, **how):
    return Synthetic(plan(scale, *figures, networks=networks, seeds=seeds), **how)


def with_accuracy(**changed):
    cells = ACCURACY | changed
    return lambda what: cells.get(what.key, of_stage(what) + 0.2 * what.seed) - 0.2 * what.seed


def power(p):
    """Distances that go with a power of time in every run."""
    return lambda what: lambda t: (1 + 0.01 * what.seed) * t**p


def rates(exponents):
    """Logarithms of time whose slope goes with the batch to a power that depends on the arm."""
    return lambda what: lambda t: 0.5 + (what.batch / 16) ** exponents(what.key) * np.log(t) * (1 + 0.01 * what.seed)


def test_what_holds_is_reproduced():
    found = judged(made())
    for name in ("f1", "resnet44"):
        for id, effect in STEPS.items():
            assert found[f"{id}-{name}"].measured == pytest.approx(effect)
    others = {"error-batch", "log-time", "log-power", "slow", "rate-before", "rate-after", "rate-adapted"}
    assert set(found) == others | {f"{id}-{name}" for id in STEPS for name in ("f1", "resnet44")}
    assert {id: claim.verdict for id, claim in found.items() if claim.verdict != "reproduced"} == {}
    assert {claim.n_seeds for claim in found.values()} == {3}


def test_effects_of_the_walk_are_those_put_in():
    found = judged(made("fig2"))
    assert found["log-time"].measured == pytest.approx(1.0)
    assert found["rate-before"].measured == pytest.approx(-0.5)
    assert found["rate-after"].measured == pytest.approx(0.0, abs=1e-9)
    assert found["rate-adapted"].measured == pytest.approx(1.0)


def test_the_paper_is_quoted_where_it_could_be_checked():
    found = judged(made(scale="laptop"))
    assert found["gap-f1"].reported == "+1.22 points, F1 on MNIST, derived from reported numbers (N)"
    assert found["closed-f1"].reported == "+0.26 points, F1 on MNIST, derived from reported numbers (N)"
    assert found["step-lr-f1"].reported is None
    assert found["gap-resnet44"].reported is None


@pytest.mark.parametrize(
    ("id", "changed"),
    [
        ("gap", {"SB": 86.1}), ("step-lr", {"LR": 85.0}), ("step-gbn", {"GBN": 88.0}), ("step-ra", {"RA": 90.0}),
        ("closed", {"RA": 91.0}),
    ],
)  # fmt: skip
def test_a_stage_that_does_not_gain_is_not_reproduced(id, changed):
    found = judged(made("table1", right=with_accuracy(**changed)))
    assert {found[f"{id}-{name}"].verdict for name in ("f1", "resnet44")} == {"not reproduced"}


def test_an_error_that_does_not_rise_with_the_batch_is_not_reproduced():
    assert judged(made("fig1"))["error-batch"].verdict == "reproduced"
    level = judged(made("fig1", right=lambda what: 90.0 - what.seed))["error-batch"]
    assert (level.measured, level.verdict) == (pytest.approx(0.0, abs=1e-9), "not reproduced")


def test_the_slope_of_the_error_is_the_one_put_in():
    claim = judged(made("fig1", right=lambda what: 95 - 2 * np.log2(what.batch) - what.seed))["error-batch"]
    assert claim.measured == pytest.approx(2.0)


def test_a_random_walk_is_no_logarithm():
    found = judged(made("fig2", distance=power(0.5)))
    assert found["slow"].measured == pytest.approx(0.5, abs=1e-4)
    assert {found[id].verdict for id in ("slow", "log-power", "log-time")} == {"not reproduced"}


def test_a_small_power_of_time_is_slow_and_no_logarithm():
    found = judged(made("fig2", distance=power(0.2)))
    assert found["slow"].verdict == "reproduced"
    assert found["log-power"].verdict == "not reproduced"


@pytest.mark.parametrize(("after", "verdict"), [(0.05, "reproduced"), (-0.3, "not reproduced")])
def test_rates_that_stay_apart_are_found_out(after, verdict):
    found = judged(made("fig2", distance=rates(lambda key: after if key == "GBN" or key.endswith("+") else 0)))
    assert found["rate-after"].verdict == verdict
    assert found["rate-before"].verdict == "not reproduced"  # there is no difference to begin with


@pytest.mark.parametrize(("adapted", "verdict"), [(0.05, "reproduced"), (-0.5, "not reproduced")])
def test_a_large_batch_that_stays_behind_is_found_out(adapted, verdict):
    found = judged(made("fig2", distance=rates(lambda key: adapted if key == "RA" else 0)))
    assert found["rate-adapted"].verdict == verdict


def test_weights_that_come_back_have_no_rate():
    found = judged(made("fig2", distance=lambda what: lambda t: 9 - np.log(t)))
    assert {found[id].verdict for id in ("rate-before", "rate-after", "rate-adapted")} == {"inconclusive"}


@pytest.mark.parametrize(
    ("lost", "open"),
    [
        ("LR", {"step-lr", "step-gbn"}),
        ("B32", {"error-batch", "log-time", "log-power", "slow", "rate-before"}),
        ("B32+", {"log-time", "log-power", "slow", "rate-after"}),
    ],
)
def test_a_diverged_run_leaves_its_claims_open(lost, open):
    found = judged(
        made(networks=("ResNet44",), diverged=lambda what: what.key == lost and what.seed == 0)
    )  # fmt: skip
    names = {id.removesuffix("-resnet44") for id, claim in found.items() if claim.verdict == "inconclusive"}
    assert names == open


def test_seeds_that_are_not_there_yet_are_left_out():
    found = judged(made("fig2", done=lambda what: what.seed < 2 or what.key != "RA"))
    assert found["rate-adapted"].n_seeds == found["log-time"].n_seeds == 2
    assert found["rate-before"].n_seeds == 3


def test_nothing_is_claimed_without_runs():
    assert {claim.verdict for claim in judged(made(done=lambda what: False)).values()} == {"not run"}


def test_what_was_not_asked_for_is_not_judged():
    assert set(judged(made("fig1"))) == {"error-batch"}
    assert set(judged(made(networks=("F1",)))) == {f"{id}-f1" for id in STEPS}
    assert all(math.isfinite(claim.measured) for claim in judged(made("fig2", distance=log_time)).values())
