"""The verdict of every claim of smith on runs that were made to hold it, to break it, or to leave it open."""

import math

import pytest
from ramp_runs import Synthetic, alike, judged, of_smith, plan

from reproduce.papers import smith
from reproduce.papers.smith.problems import PROBLEMS, SCHEDULES

ERRORS = {"decay": 6.0, "hybrid": 6.2, "grow": 5.9, "rate": 6.1, "momentum": 8.0}


def ratio(key):
    """Updates of an arm over those of decaying the rate, each epoch without its last, smaller batch."""
    steps = {
        arm: sum(phase.epochs * (1000 // phase.batch) for phase in SCHEDULES["demo"].phases(arm))
        for arm in (key, "decay")
    }
    return steps[key] / steps["decay"]


def made(*figures, seeds=3, errors=ERRORS, **how):
    chosen = plan(smith.STUDY, "demo", *figures, seeds=seeds)
    return Synthetic(chosen, PROBLEMS, of_smith, error=lambda what: errors[what.key], **how)


def of(results):
    return judged(smith.STUDY, results)


def test_what_holds_is_reproduced():
    expected = {
        "loss-grow": 1.0, "loss-hybrid": 1.0, "accuracy-grow": 0.1, "accuracy-hybrid": -0.2, "accuracy-rate": -0.1,
        "momentum-cost": 2.0, "updates-grow": ratio("grow"), "updates-rate": ratio("rate"),
        "updates-momentum": ratio("momentum"),
    }  # fmt: skip
    found = of(made())
    assert {id.removeprefix("smith-") for id in found} == set(expected)
    assert {id: found[f"smith-{id}"].measured for id in expected} == pytest.approx(expected)
    assert {(claim.verdict, claim.n_seeds) for claim in found.values()} == {("reproduced", 3)}


def test_the_paper_is_quoted():
    found = of(made())
    assert found["smith-accuracy-grow"].reported == "94.4 against 94.3 % (N)"
    assert found["smith-momentum-cost"].reported == "1.0 points, derived from reported numbers (N)"
    assert found["smith-updates-grow"].reported == "≈ 29000 against ≈ 80000 (N)"


def slower(share):
    """A loss that growing the batch leaves higher after the first milestone, by a constant factor."""
    first = SCHEDULES["demo"].milestones[0]
    return lambda what, epoch: alike(what, epoch) * (share if what.key == "grow" and epoch > first else 1)


@pytest.mark.parametrize(("share", "verdict"), [(1.2, "reproduced"), (1.5, "not reproduced"), (0.5, "not reproduced")])
def test_a_loss_that_is_another_is_found_out(share, verdict):
    claim = of(made("fig2", loss=slower(share)))["smith-loss-grow"]
    assert (claim.measured, claim.verdict) == (pytest.approx(share), verdict)


def test_where_the_losses_part_most_stands_beside_the_average():
    def loss(what, epoch):
        return alike(what, epoch) * (1.3 if what.key == "grow" and epoch == 5 else 1)

    found = of(made("fig2", loss=loss))["smith-loss-grow"]
    assert found.verdict == "reproduced"
    assert found.rule.endswith("; not judged: 1.30 after epoch 5, where they part most")
    assert "not judged" not in of(made("fig2", done=lambda what: False))["smith-loss-grow"].rule


def test_what_the_paper_gives_no_number_for_is_not_quoted():
    found = of(made())
    assert {id for id, claim in found.items() if claim.reported is None} == {
        "smith-loss-grow", "smith-loss-hybrid", "smith-accuracy-hybrid",
    }  # fmt: skip


def test_the_first_milestone_is_where_the_loss_is_compared_from():
    def loss(what, epoch):
        return alike(what, epoch) * (9 if what.key == "grow" and epoch <= SCHEDULES["demo"].milestones[0] else 1)

    assert of(made("fig2", loss=loss))["smith-loss-grow"].measured == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("id", "errors"),
    [
        ("accuracy-grow", {"grow": 9.0}), ("accuracy-hybrid", {"hybrid": 9.0}), ("accuracy-rate", {"rate": 9.0}),
        ("momentum-cost", {"momentum": 6.0}),
    ],
)  # fmt: skip
def test_accuracies_that_do_not_hold_are_not_reproduced(id, errors):
    assert of(made(errors=ERRORS | errors))[f"smith-{id}"].verdict == "not reproduced"


def test_a_ramp_that_did_not_grow_is_found_out():
    results = made("updates")
    results.schedule = lambda what: of_smith(what._replace(key="decay"))
    found = of(results)
    assert {found[f"smith-updates-{key}"].verdict for key in ("grow", "rate", "momentum")} == {"not reproduced"}


def test_a_diverged_run_leaves_a_claim_open():
    found = of(made(diverged=lambda what: what.key == "momentum" and what.seed == 0))
    assert {id for id, claim in found.items() if claim.verdict == "inconclusive"} == {
        "smith-momentum-cost", "smith-updates-momentum",
    }  # fmt: skip
    found = of(made("fig2", diverged=lambda what: what.key == "grow" and what.seed == 0))
    assert found["smith-loss-grow"].verdict == "inconclusive"
    assert found["smith-loss-grow"].n_seeds == 2


def test_a_loss_of_zero_is_no_ratio():
    results = made("fig2", loss=lambda what, epoch: 0.0 if what.seed == 1 else alike(what, epoch))
    assert of(results)["smith-loss-hybrid"].n_seeds == 2
    assert math.isfinite(of(results)["smith-loss-hybrid"].measured)


def test_nothing_is_claimed_without_runs():
    assert {claim.verdict for claim in of(made(done=lambda what: False)).values()} == {"not run"}
    assert of(made("fig1")) == {}
