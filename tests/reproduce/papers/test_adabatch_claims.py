"""The verdict of every claim of adabatch on runs that were made to hold it, to break it, or to leave it open."""

import pytest
from ramp_runs import Synthetic, judged, of_adabatch, plan

from reproduce.papers import adabatch
from reproduce.papers.adabatch.problems import PROBLEMS

ERRORS = {"small": 10.0, "adaptive": 10.4, "large": 18.0}
UPDATES = (2 * (62 + 31 + 15 + 7 + 3)) / (10 * 62)  # digits: 1,000 examples, batches of 16 to 256
SPEEDUP = 5 * (1 + 1.6) / sum((1 + 0.1 * batch) * 16 / batch for batch in (16, 32, 64, 128, 256))  # of the first seed


def made(*figures, seeds=3, errors=ERRORS, networks=(), **how):
    chosen = plan(adabatch.STUDY, "demo", *figures, networks=networks, seeds=seeds)
    return Synthetic(chosen, PROBLEMS, of_adabatch, error=lambda what: errors[what.key], **how)


def of(results):
    return judged(adabatch.STUDY, results)


def test_what_holds_is_reproduced():
    found = of(made())
    for name in ("resnet20", "vgg19"):
        expected = {f"within-{name}": 0.4, f"ahead-{name}": -7.6, f"updates-{name}": UPDATES}
        for id, value in expected.items():
            claim = found[f"adabatch-{id}"]
            assert claim.measured == pytest.approx(value), id
            assert (claim.verdict, claim.n_seeds) == ("reproduced", 3), id
        for direction in ("forward", "backward"):
            claim = found[f"adabatch-{direction}-{name}"]
            assert claim.verdict == "reproduced"
            assert 1.3 < claim.measured < 1.9
            assert claim.reported == "about ×1.2 (S)"
    assert len(found) == 10


def test_the_speed_up_weighs_every_batch_size_with_its_epochs():
    claim = of(made("speedup", networks=("ResNet20",), seeds=1))["adabatch-forward-resnet20"]
    assert claim.measured == pytest.approx(SPEEDUP)
    assert claim.verdict == "inconclusive"  # one seed


@pytest.mark.parametrize(
    ("id", "errors", "verdict"),
    [
        ("within", {**ERRORS, "adaptive": 12.0}, "not reproduced"),
        ("within", {**ERRORS, "adaptive": 7.0}, "reproduced"),  # better is no loss
        ("ahead", {**ERRORS, "large": 10.0}, "not reproduced"),
    ],
)
def test_errors_that_decide(id, errors, verdict):
    assert of(made("error", errors=errors))[f"adabatch-{id}-resnet20"].verdict == verdict


def test_without_a_cost_of_a_step_there_is_no_speed_up():
    found = of(made("speedup", overhead=False))
    assert [claim.measured for claim in found.values()] == pytest.approx([1.0] * len(found))
    assert "reproduced" not in {claim.verdict for claim in found.values()}


def test_a_ramp_that_did_not_grow_is_found_out():
    results = made("updates")
    results.schedule = lambda what: of_adabatch(what._replace(key="small"))
    claim = of(results)["adabatch-updates-resnet20"]
    assert (claim.measured, claim.verdict) == (pytest.approx(1.0), "not reproduced")


def test_a_diverged_run_leaves_a_claim_open():
    found = of(made(diverged=lambda what: what.key == "large" and what.seed == 1))
    claim = found["adabatch-ahead-resnet20"]
    assert (claim.verdict, claim.n_seeds) == ("inconclusive", 2)
    assert "diverged" in claim.rule
    assert found["adabatch-within-resnet20"].verdict == "reproduced"


def test_nothing_is_claimed_without_runs():
    assert {claim.verdict for claim in of(made(done=lambda what: False)).values()} == {"not run"}


def test_a_claim_is_made_where_its_figure_is_asked_for():
    assert set(of(made("loss"))) == set()
    assert set(of(made("times", networks=("VGG19",)))) == {"adabatch-forward-vgg19", "adabatch-backward-vgg19"}
