"""What the accompanying study concludes, on runs whose answers are known."""

import math
from itertools import starmap

import numpy as np
import pytest
from rate_runs import judged
from surlemont_runs import LARGE, PLAN, Made, place

from bsgap.analysis import Interval
from reproduce.claims import read_claims, write_claims
from reproduce.papers.surlemont import STUDY
from reproduce.papers.surlemont.judging import WORDS, by_every_measure
from reproduce.papers.surlemont.problems import PLAIN, SAM
from reproduce.papers.surlemont.trials import BALL, BOX, TOP
from reproduce.report import prose


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
    assert "by the measure that speaks most against it (the top Hessian eigenvalue)" in claim.rule

    class Partly(Made):
        def measured(self, wanted):
            return None if wanted.kind == "ball" else super().measured(wanted)

    assert judged(STUDY, PLAN, Partly())["surlemont-at-16-sgd-sam"].verdict == "not run"


def ratio(low, high, n=3, excluded=0):
    return Interval(math.sqrt(low * high), low, high, n, effect="ratio", excluded=excluded)


@pytest.mark.parametrize(
    ("by", "verdict", "measured"),
    [
        ([(0.2, 0.4), (0.3, 0.5), (0.2, 0.6), (0.4, 0.9)], "reproduced", 0.6),
        ([(0.5, 5.0), (1.2, 1.4), (1.2, 1.5), (1.3, 1.7)], "not reproduced", math.sqrt(1.3 * 1.7)),  # three refute it
        ([(0.5, 5.0), (0.2, 0.4), (0.3, 0.5), (0.2, 0.6)], "inconclusive", math.sqrt(2.5)),
    ],
)
def test_one_measure_that_is_sharper_refutes_flatter_by_every_one(by, verdict, measured):
    claim = by_every_measure("x", "words", "quantity", dict(zip(WORDS, starmap(ratio, by), strict=True)), 3, "demo")
    assert (claim.verdict, claim.measured) == (verdict, pytest.approx(measured))


def test_a_measure_that_lacks_seeds_decides_nothing_and_hides_nothing():
    few, whole = ratio(0.2, 0.5, n=3), ratio(0.2, 0.6, n=5)
    claim = by_every_measure("x", "words", "quantity", dict.fromkeys(WORDS, few) | {BOX: whole}, 5, "demo")
    assert (claim.verdict, claim.n_seeds) == ("inconclusive", 3)
    ratios = dict.fromkeys(WORDS, whole) | {BOX: ratio(1.4, 9, n=3), BALL: ratio(1.2, 1.6, n=5)}
    claim = by_every_measure("x", "words", "quantity", ratios, 5, "demo")
    assert (claim.verdict, claim.n_seeds) == ("not reproduced", 5)


def test_measures_of_runs_that_all_diverged_decide_nothing():
    lost = ratio(math.nan, math.nan, n=0, excluded=3)
    ratios = dict.fromkeys(WORDS, ratio(0.2, 0.4)) | {BOX: lost}
    assert by_every_measure("x", "words", "quantity", ratios, 3, "demo").verdict == "inconclusive"


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
    assert gathered[3].endswith("undecided by all measures together (1.00).")
    sharper = [vars(claim) | {"verdict": "not reproduced"} for claim in judged(STUDY, PLAN, Made()).values()]
    assert prose.gathered(sharper, "surlemont-at-16-sgd-sam") == [
        "SGD: at batch 16 SAM finds flatter minima: no, not by every measure (0.250)."
    ]
