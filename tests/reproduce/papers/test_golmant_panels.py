"""Thresholds and speed-ups of golmant's panels, on runs whose every step to a loss is known."""

import numpy as np
import pytest
from golmant_runs import FALL, TOP, Synthetic, ladder, plan

from bsgap.analysis import Curve
from bsgap.errors import UsageError
from reproduce.papers.golmant import panels
from reproduce.papers.golmant.panels import curve, panel
from reproduce.papers.golmant.problems import ALL, BASE, LINEAR, ROOT
from reproduce.papers.golmant.trials import run

MAIN = "ResNet34"
# The largest batch takes 12 x (1000 // 256) = 36 steps, of seeds that are alike. The quartile of 36 falling losses lies
# three quarters of the way from that of step 28 to that of step 27.
STEPS = 28**0.25 * 27**0.75
LEVEL = TOP - FALL * np.log2(STEPS * 4)


def found(results, rules=(BASE,), **options):
    return panel(results.plan, results, MAIN, rules, **options)


def speedups(rows):
    """Batch -> the speed-up that all seeds share."""
    by_batch = {int(batch): part["speedup"].to_numpy() for batch, part in rows.groupby("batch")}
    for values in by_batch.values():
        np.testing.assert_allclose(values, values[0], rtol=1e-12)
    return {batch: float(values[0]) for batch, values in by_batch.items()}


def test_the_threshold_is_the_lower_quartile_of_the_largest_batch():
    level = found(Synthetic(plan())).threshold
    assert level.value == pytest.approx(LEVEL, rel=1e-12)
    assert (level.batch, level.fallback) == (256, False)
    assert level.rule == (
        "lower quartile of the losses at every step of batch 256 (3 runs, running median of 3 evaluations)"
    )


def test_speed_ups_are_ratios_of_the_steps_to_it():
    got = found(Synthetic(plan()), ALL)
    assert speedups(got.of(BASE)) == pytest.approx({16: 1, 32: 2, 64: 8**0.5, 128: 4, 256: 4}, rel=1e-9)
    assert speedups(got.of(ROOT)) == pytest.approx({16: 1, 32: 2, 64: 3.3, 128: 4.7, 256: 3.2}, rel=1e-9)
    base = got.of(BASE).set_index("batch")
    np.testing.assert_allclose(base.loc[256, "steps"], STEPS, rtol=1e-9)
    np.testing.assert_allclose(base.loc[16, "steps"], 4 * STEPS, rtol=1e-9)
    np.testing.assert_allclose(base.loc[256, "cost"], 256 * STEPS, rtol=1e-9)
    assert got.frame["threshold"].unique().tolist() == [pytest.approx(LEVEL)]  # all rules share it
    assert got.frame.groupby("rule")["seed"].apply(set).tolist() == [{0, 1, 2}] * 3
    assert got.without_base == ()


def test_a_run_that_ends_above_the_threshold_is_kept_with_its_bound():
    last = found(Synthetic(plan()), ALL).of(LINEAR).set_index("batch").loc[256]
    assert not last["reached"].any()  # at half the speed it would take 54 of its 36 steps
    assert last["speedup"].isna().all()
    np.testing.assert_allclose(last["speedup_bound"], 4 * STEPS / 36, rtol=1e-9)
    assert last["cost_bound"].tolist() == [256 * 36] * 3


def test_a_share_of_the_data_has_a_threshold_of_its_own():
    results = Synthetic(plan())
    quarter = found(results, fraction=0.25)
    # 250 examples: batches up to 64, which takes 12 x (250 // 64) = 36 steps too, at a speed of the root of 8
    assert (quarter.threshold.batch, quarter.frame["batch"].max()) == (64, 64)
    assert quarter.threshold.value == pytest.approx(TOP - FALL * np.log2(STEPS * 8**0.5), rel=1e-12)
    assert speedups(quarter.frame) == pytest.approx({16: 1, 32: 2, 64: 8**0.5}, rel=1e-9)
    with pytest.raises(UsageError, match=r"ResNet-8: a speed-up needs at least two batch sizes, got \[16\]\."):
        found(results, fraction=0.04)


def test_the_threshold_of_a_smaller_batch_is_lower_and_large_ones_do_not_reach_it():
    results = Synthetic(plan())
    whole, lower = found(results), found(results, reference=64)
    assert lower.threshold.batch == 64
    assert not lower.threshold.fallback
    assert lower.threshold.value < whole.threshold.value
    reached = lower.frame.groupby("batch")["reached"].all()
    assert reached.to_dict() == {16: True, 32: True, 64: True, 128: False, 256: False}


def test_a_lucky_evaluation_does_not_count_as_reached():
    class Lucky(Synthetic):
        def curves(self, trial):
            rows = super().curves(trial).copy()
            if self.what[trial].batch == 32:
                rows.loc[(rows["step"] == 6) & (rows["metric"] == "train_loss"), "value"] = 0.01
            return rows

    clean, lucky = found(Synthetic(plan())), found(Lucky(plan()))
    assert speedups(lucky.frame)[32] == pytest.approx(speedups(clean.frame)[32], rel=1e-9)


# Divergence


def test_a_diverged_run_of_a_rule_is_in_the_frame_and_leaves_the_threshold():
    got = found(Synthetic(plan(), diverged=lambda what: what.rule == LINEAR and what.batch == 256), ALL)
    last = got.of(LINEAR).set_index("batch").loc[256]
    assert last["diverged"].all()
    assert not last["reached"].any()
    assert got.threshold.value == pytest.approx(LEVEL)
    assert not got.of(BASE)["diverged"].any()


def test_where_the_largest_batch_diverged_the_next_smaller_one_gives_the_threshold_and_the_rule_says_so():
    got = found(Synthetic(plan(), diverged=lambda what: what.batch == 256))
    assert (got.threshold.batch, got.threshold.fallback) == (128, True)
    assert got.threshold.rule.endswith("; every run of batch 256 diverged")
    assert got.frame.groupby("batch")["diverged"].all().to_dict()[256]


def test_a_seed_that_diverged_at_the_largest_batch_is_left_out_of_the_threshold():
    got = found(Synthetic(plan(), diverged=lambda what: what.batch == 256 and what.seed == 1))
    assert got.threshold.value == pytest.approx(LEVEL, abs=0.01)
    assert "(2 runs, 1 diverged left out" in got.threshold.rule
    assert got.frame.groupby("batch")["diverged"].sum().to_dict()[256] == 1


def test_a_problem_whose_every_base_run_diverged_is_named():
    with pytest.raises(UsageError, match="ResNet-8: no threshold: every run diverged, at batch sizes 256, 128, 64"):
        found(Synthetic(plan(), diverged=lambda what: what.rule == BASE))


# What the smallest batch does not reach


def slow(*seeds):
    """The smallest batch of these seeds never comes near."""
    return lambda what: 0.01 if what.batch == 16 and what.seed in seeds else ladder(what)


def test_a_seed_whose_smallest_batch_never_reached_the_threshold_is_left_out_and_named():
    got = found(Synthetic(plan(), slow(1)), ALL)
    assert set(got.frame["seed"]) == {0, 2}
    assert got.without_base == (1,)
    assert speedups(got.of(BASE))[256] == pytest.approx(4)


def test_a_threshold_that_the_smallest_batch_never_reached_is_one_line():
    with pytest.raises(UsageError) as error:
        found(Synthetic(plan(), slow(0, 1, 2)), ALL)
    text = str(error.value)
    assert text.startswith(f"ResNet-8: batch 16, the smallest, never reached the threshold {LEVEL:.4g}: ")
    assert "\n" not in text


# What has not been run


@pytest.mark.parametrize(
    "done",
    [
        lambda what: False,
        lambda what: what.batch == 256,  # one batch size is no curve
        lambda what: what.batch < 256,  # its threshold would be another once the largest is done
        lambda what: what.rule != BASE,
    ],
)
def test_there_is_no_panel_before_its_runs_are_done(done):
    assert found(Synthetic(plan(), done=done), ALL) is None


def test_a_seed_without_its_smallest_batch_waits_for_it():
    got = found(Synthetic(plan(), done=lambda what: (what.batch, what.seed) != (16, 2)), ALL)
    assert {rule: set(rows["seed"]) for rule, rows in got.frame.groupby("rule")} == {rule: {0, 1} for rule in ALL}
    assert got.without_base == ()  # it is not done, rather than too slow


def test_a_seed_without_a_batch_in_between_has_the_others():
    got = found(Synthetic(plan(), done=lambda what: (what.batch, what.seed) != (64, 2)))
    counts = got.frame.groupby("batch")["seed"].nunique().to_dict()
    assert counts == {16: 3, 32: 3, 64: 2, 128: 3, 256: 3}


def test_a_rule_without_a_run_is_absent_from_the_panel():
    got = found(Synthetic(plan(), done=lambda what: what.rule == BASE), ALL)
    assert got.frame["rule"].unique().tolist() == [BASE]  # the base batch of the others alone is no curve


def test_a_curve_is_that_of_the_run():
    results = Synthetic(plan(), diverged=lambda what: what.batch == 256)
    trial = run(results.plan, MAIN, 256, BASE, 0)
    test = curve(results, trial, "test_loss")
    assert test.diverged
    assert test.steps.tolist() == [0, 1, 2]
    assert test.losses[1] == pytest.approx(curve(results, trial).losses[1] + 0.1)


def idle(*batches):
    """Speeds of a ladder on which these batch sizes learn nothing: their loss stays above where the others start."""
    return lambda what: 1e-3 if what.batch in batches else ladder(what)


def test_a_batch_that_learned_nothing_sets_no_threshold():
    got = found(Synthetic(plan(), idle(256, 128)))
    assert (got.threshold.batch, got.threshold.fallback) == (64, True)
    assert got.threshold.rule.endswith("; batch 256, 128 learned nothing")
    rows = got.frame.set_index("batch")
    assert rows.loc[64, "reached"].all()
    assert not rows.loc[[128, 256], "reached"].any()


def test_where_no_batch_learned_anything_the_reason_is_given(monkeypatch):
    monkeypatch.setattr(panels, "curve", lambda results, trial: Curve([0, 1, 2, 3], [2.3, 2.31, 2.29, 2.3]))
    with pytest.raises(
        UsageError, match=r"ResNet-8: no batch size brought the loss below 0\.96 of its start, 2\.3\. Train for"
    ):
        found(Synthetic(plan()))
