import json
import math
from dataclasses import FrozenInstanceError, replace

import pytest

from bsgap.analysis import Interval, mean_interval, paired_interval
from bsgap.errors import UsageError
from reproduce.claims import Claim, read_claims, write_claims

SMALL, LARGE = [80.1, 80.0, 79.9, 80.2], [77.2, 77.6, 76.9, 77.4]


def gap(interval, **options):
    rule = {"quantity": "test accuracy, small minus large batch, points", "minimal": 1.0, "scale": "demo"} | options
    return Claim.judged("keskar-gap-c1", "small batches generalise better", "Table 2", 2.78, interval, **rule)


def test_the_verdict_comes_from_the_paired_interval():
    interval = paired_interval(SMALL, LARGE)
    claim = gap(interval)
    assert (claim.verdict, claim.n_seeds, claim.reported) == ("reproduced", 4, 2.78)
    assert (claim.measured, claim.uncertainty) == (interval.estimate, (interval.low, interval.high))
    assert claim.rule == (
        "test accuracy, small minus large batch, points: 95 % interval over seeds wholly above 1, at least 3 seeds"
    )
    assert gap(interval, minimal=5.0).verdict == "not reproduced"
    assert gap(interval, minimal=interval.low + 1e-9).verdict == "inconclusive"
    assert gap(interval, min_seeds=5).verdict == "inconclusive"
    assert gap(paired_interval(LARGE, SMALL), minimal=-1.0, direction="less").verdict == "reproduced"


def test_no_data_is_not_run():
    claim = gap(None)
    assert (claim.verdict, claim.measured, claim.uncertainty, claim.n_seeds) == ("not run", None, None, 0)


def test_one_seed_has_no_interval():
    claim = gap(mean_interval([2.0]))
    assert (claim.verdict, claim.measured, claim.uncertainty, claim.n_seeds) == ("inconclusive", 2.0, None, 1)


def test_what_was_left_out_is_said():
    claim = gap(paired_interval([*SMALL, 80.0], [*LARGE, math.nan]))
    assert claim.verdict == "inconclusive"
    assert claim.rule.endswith("; 1 left out because a run diverged, hence inconclusive")
    unpaired = gap(paired_interval(dict(enumerate([*SMALL, 80.0])), dict(enumerate(LARGE))))
    assert (unpaired.verdict, unpaired.rule.rpartition("; ")[2]) == ("reproduced", "1 left out without a partner")


def test_rules_name_the_side():
    ratio = paired_interval(SMALL, LARGE, "ratio")
    assert "wholly between 0.5 and 2," in gap(ratio, minimal=2.0, direction="within").rule
    assert "wholly within ±4," in gap(paired_interval(SMALL, LARGE), minimal=4.0, direction="within").rule
    assert "wholly below 4," in gap(ratio, minimal=4.0, direction="less").rule


def test_claims_are_written_and_read(tmp_path):
    path = tmp_path / "results" / "claims.json"
    claims = [gap(paired_interval(SMALL, LARGE)), replace(gap(None), id="other", reported="≈ 3 (P)")]
    write_claims(path, claims)
    assert read_claims(path) == claims
    names = ["id", "statement", "source", "reported", "measured", "uncertainty", "n_seeds", "rule", "verdict", "scale"]
    assert [list(line) for line in json.loads(path.read_text())] == [names, names]


def test_the_file_is_strict_json(tmp_path):
    odd = gap(Interval(math.nan, 1.0, math.inf, 2))
    write_claims(tmp_path / "claims.json", [odd])
    text = (tmp_path / "claims.json").read_text()
    (claim,) = read_claims(tmp_path / "claims.json")
    assert "NaN" not in text
    assert "Infinity" not in text
    assert (claim.measured, claim.uncertainty) == (None, None)


def test_claims_are_frozen_and_checked(tmp_path):
    claim = gap(None)
    with pytest.raises(FrozenInstanceError):
        claim.verdict = "reproduced"
    with pytest.raises(UsageError, match="expected a verdict"):
        replace(claim, verdict="confirmed")
    with pytest.raises(UsageError, match="keskar-gap-c1 is used twice"):
        write_claims(tmp_path / "claims.json", [claim, claim])


@pytest.mark.parametrize(
    ("text", "words"), [("[", "no JSON"), ("{}", "list of claims"), ('[{"id": "x"}]', "list of claims")]
)
def test_a_file_of_something_else_is_refused(tmp_path, text, words):
    (tmp_path / "claims.json").write_text(text)
    with pytest.raises(UsageError, match=words):
        read_claims(tmp_path / "claims.json")
    with pytest.raises(UsageError, match="cannot be read"):
        read_claims(tmp_path / "none.json")
