"""The level at which runs are compared is that at which their losses really lie closest."""

from types import SimpleNamespace

from reproduce.matching import Match, match, words


def chosen(*kept):
    results = SimpleNamespace(
        kept=lambda run: {f"loss-{level}": {"loss": loss} for level, loss in run.items()}, run=lambda run: run or None
    )
    return match(results, [[run] for run in kept])


def test_the_closest_losses_are_compared_and_not_the_lowest_level():
    found = chosen({"1.2": 1.15, "1.0": 0.65}, {"1.2": 1.19, "1.0": 0.99})
    assert found == Match("loss-1.2", 1.2, 1.15, 1.19)


def test_of_equals_it_is_the_lowest_level():
    assert chosen({"1.0": 1.0, "0.5": 0.5}, {"1.0": 1.0, "0.5": 0.5}).level == 0.5


def test_only_what_all_have_passed_counts():
    assert chosen({"1.0": 0.9, "0.5": 0.5}, {"1.0": 0.95}).weights == "loss-1.0"
    assert chosen({"1.0": 0.9}, {"0.5": 0.4}) is None
    assert chosen({"1.0": 0.9}, {}).level == 1.0  # the other has not been run yet
    assert match(SimpleNamespace(), []) is None


def test_a_loss_of_nothing_is_the_worst_match():
    assert chosen({"0.1": 0.0, "1.0": 0.5}, {"0.1": 0.1, "1.0": 1.0}).level == 1.0


def test_the_words_say_each_range_once():
    found = Match("loss-1", 1.0, 0.5, 1.0)
    assert words([found, found]) == "matched loss: 0.50 to 1.00 nats"
