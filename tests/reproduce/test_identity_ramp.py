"""A ramp decides a run's numbers, and none changes no id."""

import pytest

from reproduce.identity import identity, run_id

CONFIG = {
    "seed_everything": 1,
    "model": {"class_path": "bsgap.tasks.ImageClassification", "init_args": {}},
    "data": {"class_path": "bsgap.data.ImageData", "init_args": {"source": "digits"}},
}
DEFAULTS = {
    "factor": None, "sizes": None, "milestones": None, "every": None, "unit": "epochs", "monitor": None, "mode": "min",
    "patience": 0, "min_delta": 0.0, "maximum": None, "rate": "keep-ratio", "micro_batch": None, "schedules": "examples",
}  # fmt: skip


def of(**ramp):
    return run_id({**CONFIG, "ramp": DEFAULTS | ramp}, "f")


@pytest.mark.parametrize("ramp", [{}, {"every": 20, "maximum": 512, "rate": "none"}, {"milestones": [60, 120]}])
def test_without_factor_and_sizes_the_id_is_that_of_before(ramp):
    assert of(**ramp) == run_id(CONFIG, "f")
    assert "ramp" not in identity({**CONFIG, "ramp": DEFAULTS | ramp}, "f")


def test_the_defaults_are_those_of_the_callback():
    import inspect

    from bsgap.callbacks import BatchSizeRamp

    found = {name: each.default for name, each in inspect.signature(BatchSizeRamp).parameters.items()}
    assert found == DEFAULTS


def test_what_a_ramp_does_is_part_of_the_id():
    ids = [
        run_id(CONFIG, "f"), of(factor=2, every=4), of(factor=2, every=5), of(factor=3, every=4), of(sizes=[64], every=4),
        of(factor=2, every=4, rate="square-root"), of(factor=2, every=4, maximum=512), of(factor=2, every=4, unit="steps"),
        of(factor=2, maximum=512, monitor="train_loss"), of(factor=2, maximum=512, monitor="train_loss", patience=2),
        of(factor=2, every=4, micro_batch=64), of(factor=2, every=4, schedules="steps"),
    ]  # fmt: skip
    assert len(set(ids)) == len(ids)


def test_two_spellings_are_one_ramp():
    assert of(factor=2, every=4, rate="linear") == of(factor=2.0, every=4.0)
    assert of(factor=2, every=4, patience=3, mode="max", min_delta=0.1) == of(factor=2, every=4)
