"""The stopping rule on scripted losses, and on a run that diverges."""

import json
import math
from types import SimpleNamespace

import pytest

from bsgap.callbacks import Point, StoppingRule
from bsgap.errors import UsageError


def judge(rule, losses, per_epoch=1):
    """Show the rule `losses`, the first before the first step; the index at which it stops, or None."""
    trainer = SimpleNamespace(should_stop=False)
    for index, loss in enumerate(losses):
        epoch = index / per_epoch
        rule.on_evaluation(trainer, None, Point(index, epoch, index, epoch.is_integer(), {"train_loss": loss}))
        if trainer.should_stop:
            return index
    return None


def test_it_stops_after_patience_epochs_without_progress():
    rule = StoppingRule(patience=3)
    assert judge(rule, [2.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.1]) == 5
    assert rule.reason == "loss ceased to improve"
    assert not rule.diverged


def test_progress_is_a_fall_by_one_per_cent_below_the_last_level():
    assert judge(StoppingRule(patience=2), [1.0, 0.995, 0.991]) == 2  # 0.9 % below 1: no progress
    assert judge(StoppingRule(patience=2), [1.0, 0.995, 0.989, 0.985, 0.98]) == 4  # 1.1 % below 1, then 0.9 %
    assert judge(StoppingRule(patience=2), [1.0] + [1.0 * 0.989**k for k in range(1, 30)]) is None
    # A slow fall counts against the level that was last progress, not against the epoch before.
    assert judge(StoppingRule(patience=3), [1.0] + [1.0 * 0.995**k for k in range(1, 30)]) is None
    assert judge(StoppingRule(patience=2, min_fall=0.2), [1.0, 0.9, 0.81, 0.7]) == 2
    assert judge(StoppingRule(patience=2, min_fall=0.0), [1.0, 0.9999, 0.9998, 0.9997]) is None


def test_a_rise_is_no_progress_and_a_later_fall_is():
    assert judge(StoppingRule(patience=3), [1.0, 5.0, 1.5, 0.9, 0.95, 0.92, 0.91]) == 6


def test_without_patience_only_the_budget_ends_a_run():
    rule = StoppingRule()
    assert judge(rule, [1.0] * 50) is None
    assert rule.reason == "budget"
    assert not rule.needs_curves


def test_only_the_ends_of_epochs_count_as_progress_or_lack_of_it():
    # Two points an epoch: the ends are those of even index, and they stand still; the points between do not.
    losses = [1.0, 0.8, 1.0, 0.5, 1.0, 0.3, 1.0]
    assert judge(StoppingRule(patience=3), losses, per_epoch=2) == 6


@pytest.mark.parametrize("loss", [math.nan, math.inf, 2.1e4])
def test_divergence_is_seen_at_any_point(loss):
    rule = StoppingRule()
    assert judge(rule, [2.0, 1.9e4, loss, 1.0], per_epoch=2) == 2
    assert rule.diverged


def test_a_loss_that_is_no_number_from_the_start_is_divergence():
    rule = StoppingRule()
    assert judge(rule, [math.nan]) == 0
    assert rule.diverged


def test_its_state_goes_on_where_it_was():
    losses = [2.0, 1.0, 0.5, 0.499, 0.498, 0.497, 0.496]
    for cut in range(1, 6):
        first, second = StoppingRule(patience=3), StoppingRule(patience=3)
        assert judge(first, losses[:cut]) is None
        second.load_state_dict(first.state_dict())
        trainer = SimpleNamespace(should_stop=False)
        stops = []
        for index in range(cut, len(losses)):
            second.on_evaluation(trainer, None, Point(index, float(index), 0, True, {"train_loss": losses[index]}))
            stops.append(trainer.should_stop)
        assert cut + stops.index(True) == 5


@pytest.mark.parametrize("options", [{"patience": -1}, {"min_fall": 1.0}, {"min_fall": -0.1}, {"explosion": 1.0}])
def test_options_out_of_range(options):
    with pytest.raises(UsageError, match="stopping: expected"):
        StoppingRule(**options)


def test_a_stopped_run_says_why(runs):
    folder = runs.fit("stopped", "--model.init_args.optimizer.init_args.lr=1e-9", "--stopping.patience=2",
                      "--trainer.max_epochs=9")  # fmt: skip
    outcome = json.loads((folder / "outcome.json").read_text())
    assert (outcome["status"], outcome["stop_reason"]) == ("finished", "loss ceased to improve")
    assert (outcome["epochs"], outcome["steps"], outcome["examples"]) == (2, 6, 80)
    assert outcome["kept"]["final"]["step"] == 6


def test_a_diverged_run_is_a_result(runs):
    options = ["--model.init_args.optimizer.init_args.lr=1e30", "--model.init_args.gradient_clip=null"]
    assert runs.main("diverged", *options, "--curves.per_epoch=3", "--trainer.max_epochs=9") == 0
    outcome = json.loads((runs.root / "diverged" / "outcome.json").read_text())
    assert (outcome["status"], outcome["stop_reason"]) == ("diverged", "diverged")
    assert outcome["steps"] < 27
    assert not math.isfinite(outcome["last"]["train_loss"]) or outcome["last"]["train_loss"] > 1e4
    assert (runs.root / "diverged" / "weights" / "final.pt").exists()
    assert not (runs.root / "diverged" / "last.ckpt").exists()
