"""The verdict of every claim of goyal on runs that were made to hold it, to break it, or to leave it open."""

import math

import pytest
from rate_runs import Made, judged, plan, settings

from reproduce.claims import read_claims, write_claims
from reproduce.papers.goyal import STUDY
from reproduce.papers.goyal.problems import SIZES
from reproduce.study import SCALES

BASE = 16
ERRORS = {"none": 10.9, "constant": 11.9, "fixed": 28.9, "square-root": 14.9}
SWEEP = {16: 8.0, 32: 8.1, 64: 8.2, 128: 8.9, 256: 10.0, 500: 15.0}
HELD = {
    "goyal-flat": 0.2, "goyal-beyond": 7.0, "goyal-warm-up-none": 2.0, "goyal-warm-up-constant": 3.0,
    "goyal-linear-square-root": 6.0, "goyal-linear-fixed": 20.0,
    "goyal-linear-square-root-moderate": 6.7, "goyal-linear-fixed-moderate": 20.7,
}  # fmt: skip


def way(trial):
    """Which arm a trial is: a name, or `gradual`."""
    chosen = settings(trial)
    if chosen.get("warmup_epochs") == 0:
        return "none"
    return chosen.get("warmup") or {"base": "fixed"}.get(chosen.get("scaling"), chosen.get("scaling")) or "gradual"


def error(trial, sweep=SWEEP, errors=ERRORS):
    """The error of a run; seeds differ by a point, in all arms alike but for a small seesaw."""
    batch = settings(trial).get("batch_size", BASE)
    mean = sweep[batch] if way(trial) == "gradual" else errors[way(trial)]
    return mean + trial.seed + 0.01 * ((trial.seed + batch) % 3 - 1)


def made(sweep=SWEEP, errors=ERRORS):
    return Made(lambda trial: 100 - error(trial, SWEEP | sweep, ERRORS | errors))


def claims(results, *figures, seeds=3):
    return judged(STUDY, plan(STUDY, "demo", *figures, seeds=seeds), results)


@pytest.fixture(scope="module")
def held():
    return claims(made())


def test_there_is_a_trial_for_every_claim(held):
    assert set(held) == set(HELD)


@pytest.mark.parametrize("id", HELD)
def test_a_claim_that_holds_is_reproduced(id, held):
    claim = held[id]
    assert claim.measured == pytest.approx(HELD[id], abs=0.03)
    assert (claim.verdict, claim.n_seeds, claim.scale) == ("reproduced", 3, "demo")
    for words in ("at least 3 seeds", "ResNet-8 on digits: test error", "the median of the last 3 epochs"):
        assert words in claim.rule
    if not id.endswith("-moderate"):  # where the paper has no number
        assert claim.reported.endswith("on ImageNet, derived from reported numbers (P)")


@pytest.mark.parametrize(
    ("id", "sweep", "errors", "effect"),
    [
        ("goyal-flat", {64: 11.0}, {}, 3.0),
        ("goyal-beyond", {500: 8.0}, {}, 0.0),
        ("goyal-warm-up-none", {}, {"none": 7.9}, -1.0),
        ("goyal-warm-up-constant", {}, {"constant": 8.4}, -0.5),
        ("goyal-linear-square-root", {}, {"square-root": 7.9}, -1.0),
        ("goyal-linear-fixed", {}, {"fixed": 7.9}, -1.0),
    ],
)
def test_a_claim_that_does_not_hold_is_not_reproduced(id, sweep, errors, effect):
    claim = claims(made(sweep, errors))[id]
    assert claim.measured == pytest.approx(effect, abs=0.03)
    assert claim.verdict == "not reproduced"


def test_a_claim_judged_beyond_the_knee_says_so(held):
    judged_there = {"goyal-warm-up-none", "goyal-warm-up-constant", "goyal-linear-square-root", "goyal-linear-fixed"}
    beyond = claims(made(sweep={128: 11.0}))
    assert {
        id for id, claim in beyond.items() if "at batch 128, which lies beyond the knee" in claim.rule
    } == judged_there
    assert not any("beyond the knee" in claim.rule for claim in held.values())
    bent = claims(made(sweep={32: 11.0}))["goyal-linear-fixed"].rule  # right above the base
    assert "beyond the knee, itself at the base, so that no scaled rate is tested up to it" in bent
    assert "itself at the base" not in beyond["goyal-linear-fixed"].rule


def test_two_seeds_leave_every_claim_open():
    assert {claim.verdict for claim in claims(made(), seeds=2).values()} == {"inconclusive"}


def test_seeds_that_disagree_leave_a_claim_open():
    def accuracy(trial):
        return 100 - error(trial) + (4 * trial.seed if way(trial) == "none" else 0)

    assert claims(Made(accuracy))["goyal-warm-up-none"].verdict == "inconclusive"


def test_a_run_that_diverged_counts_as_one_that_answers_at_random():
    def accuracy(trial):
        return math.nan if way(trial) == "none" else 100 - error(trial)

    found = claims(Made(accuracy))["goyal-warm-up-none"]
    assert found.measured == pytest.approx(90 - 9.9, abs=0.03)  # the gradual ones have 8.9, 9.9 and 10.9
    assert (found.verdict, found.n_seeds) == ("reproduced", 3)
    assert "answers at random" in found.rule


@pytest.mark.parametrize("scale", SCALES)
def test_without_runs_no_claim_is_judged(scale):
    found = judged(STUDY, plan(STUDY, scale), Made(lambda trial: None))
    assert {claim.verdict for claim in found.values()} == {"not run"}
    moderate = {id for id in HELD if id.endswith("-moderate")}  # the paper has one large batch size
    assert set(found) == set(HELD) - (moderate if scale == "paper" else set())


def test_the_claims_of_a_figure_alone():
    assert set(claims(made(), "table1")) == {"goyal-warm-up-none", "goyal-warm-up-constant"}
    assert set(claims(made(), "fig2")) == set()


def test_the_reported_effects_are_the_papers(held):
    assert {id: claim.reported and claim.reported.split()[0] for id, claim in held.items()} == {
        "goyal-flat": "+0.14", "goyal-beyond": "+10.36", "goyal-warm-up-none": "+1.10",
        "goyal-warm-up-constant": "+2.14", "goyal-linear-square-root": "+2.48", "goyal-linear-fixed": "+17.93",
        "goyal-linear-square-root-moderate": None, "goyal-linear-fixed-moderate": None,  # the paper's are at its large one
    }  # fmt: skip


def test_the_ledger_can_be_stored(tmp_path, held):
    write_claims(tmp_path / "claims.json", held.values())
    assert read_claims(tmp_path / "claims.json") == list(held.values())


@pytest.mark.parametrize("scale", SCALES)
def test_the_sizes_that_claims_name_are_run(scale):
    for sizes in SIZES[scale].values():
        assert {sizes.base, sizes.flat, sizes.large} <= set(sizes.all)
        assert list(sizes.all) == sorted(sizes.all)
