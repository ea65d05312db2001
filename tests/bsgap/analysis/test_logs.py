import math

import numpy as np
import pandas as pd
import pytest

from bsgap.analysis import Curve, read_curves, speedups, steps_to, threshold
from bsgap.errors import UsageError

EXAMPLES = 4096 * 32
CRITICAL = 100


def run(batch, seed, rule="base", factor=1.0, points=2):
    """L falls as 1 / (1 + t / τ) with τ = 50 (1 + B / m), so that k(m0) / k(m) is known: (1 + B/m0) / (1 + B/m)."""
    last = EXAMPLES // batch
    steps = [0, *sorted({math.ceil(2 ** (k / points)) for k in range(int(points * math.log2(last)) + 1)} | {last})]
    tau = factor * 50 * (1 + CRITICAL / batch)
    return pd.DataFrame({
        "rule": rule, "batch": batch, "seed": seed, "step": steps, "metric": "train_loss",
        "value": 2.3 * (1 + seed / 100) / (1 + np.array(steps) / tau),
    })  # fmt: skip


BATCHES = [16, 32, 64, 128, 256]


def logs(rules=("base",), seeds=range(2)):
    return pd.concat(
        [run(batch, seed, rule, 1.0 + (rule != "base")) for batch in BATCHES for seed in seeds for rule in rules]
    )


def test_curves_are_read_by_run_in_any_order():
    tidy = pd.concat([logs(), logs().assign(metric="test_loss", value=9.0)]).sample(frac=1, random_state=0)
    found = read_curves(tidy)
    assert set(found) == {(batch, seed) for batch in BATCHES for seed in range(2)}
    for (batch, seed), curve in found.items():
        expected = run(batch, seed)
        assert curve.steps.tolist() == expected["step"].tolist()
        assert curve.losses.tolist() == expected["value"].tolist()
    assert (read_curves(tidy, "test_loss")[16, 0].losses == 9).all()
    assert not any(curve.diverged for curve in found.values())


def test_divergence_is_read():
    found = read_curves(logs().assign(diverged=lambda rows: rows["batch"] == 16))
    assert [curve.diverged for (batch, _), curve in found.items() if batch == 16] == [True, True]
    assert not found[32, 0].diverged


def test_speedups_of_known_curves():
    found, chosen = speedups(logs())
    expected = (1 + CRITICAL / 16) / (1 + CRITICAL / found["batch"])
    assert found["speedup"].tolist() == pytest.approx(expected.tolist(), rel=0.02)
    assert chosen == threshold({256: [read_curves(logs())[256, seed] for seed in range(2)]})


def test_rules_share_the_threshold_and_keep_their_baselines():
    found, chosen = speedups(logs(rules=("base", "linear")), by="rule")
    assert list(found["rule"].unique()) == ["base", "linear"]
    assert (found["threshold"] == chosen.value).all()
    assert "4 runs" in chosen.rule
    kept = found[found["reached"]]
    expected = (1 + CRITICAL / 16) / (1 + CRITICAL / kept["batch"])
    assert kept["speedup"].tolist() == pytest.approx(expected.tolist(), rel=0.03)
    steps = found.set_index(["rule", "batch", "seed"])["steps"]
    assert steps["linear", 16, 0] == pytest.approx(2 * steps["base", 16, 0], rel=0.02)


def test_a_level_can_be_given():
    found, chosen = speedups(logs(), level=1.0)
    assert (chosen.value, chosen.rule) == (1.0, "train_loss 1, as given")
    assert found["steps"].iloc[0] == steps_to(Curve(run(16, 0)["step"], run(16, 0)["value"]), 1.0).step


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: read_curves(logs().drop(columns="seed")), "columns batch, seed, step and value, got none named seed"),
        (lambda: read_curves(logs(), "perplexity"), "no row of perplexity"),
        (lambda: read_curves(logs(rules=("base", "linear"))), "batch 16, seed 0 has two values of train_loss"),
        (lambda: speedups(logs(), by="colour"), "no column colour"),
        (lambda: speedups(logs(), level=0.0), "never reached the threshold"),
        (lambda: speedups(logs()[lambda rows: rows["batch"] == 16]), "at least two batch sizes"),
    ],
)
def test_bad_input_says_what_to_do(call, words):
    with pytest.raises(UsageError, match=words):
        call()
