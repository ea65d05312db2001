"""What the study of SAM chooses, measures, draws and concludes, on runs whose answers are known."""

import math

import numpy as np
import pandas as pd
import pytest
import rate_runs
from rate_runs import judged, plan, settings

from reproduce import arms
from reproduce.claims import read_claims, write_claims
from reproduce.papers.sam import STUDY, facts
from reproduce.papers.sam.problems import LONG, PLAIN, PROBLEMS, REFERENCE, SGD
from reproduce.papers.sam.trials import (
    chosen,
    compared,
    curvature,
    eigenvalues,
    smaller_groups,
    spectrum_measures,
    table_runs,
)
from reproduce.planning import trials
from reproduce.study import SCALES

ARTIFACTS = {artifact.name: artifact for artifact in STUDY.artifacts}
FIGURES = [name for name, artifact in ARTIFACTS.items() if artifact.kind == "figure"]
PLAN = plan(STUDY)
BEST = 0.1


class Made(rate_runs.Made):
    """Runs with a validation split that agrees with the test set, shifted, unless `validation` says otherwise."""

    def __init__(self, accuracy, *, validation=None, **options):
        super().__init__(accuracy, **options)
        self.validation = validation or accuracy

    def curves(self, trial):
        rows = super().curves(trial)
        if rows is None:
            return None
        last = rows[rows["metric"] == "test_accuracy"].tail(1)
        value = self.validation(trial) / 100
        parts = [
            last.assign(metric="validation_accuracy", value=value),
            last.assign(metric="validation_loss", value=1 - value),
        ]
        return pd.concat([rows, *parts], ignore_index=True)


def place(trial):
    """Recipe, rho, m and whether it has twice the epochs."""
    found = settings(trial)
    return trial.recipe, found.get("rho", 0.0), found.get("sharpness_batch"), "T_max" in found


def accuracy(trial):
    _, rho, m, longer = place(trial)
    base = 90 + 0.5 * longer if not rho else 93 - 5 * abs(math.log10(rho / BEST)) + (0.5 if m == 8 else 0.2 if m else 0)
    return base + trial.seed + 0.01 * trial.seed**2


def measure(wanted):
    (trial, _), *_ = wanted.of
    top = (24.0 if not place(trial)[1] else 1.0) * (1 + 0.1 * trial.seed)
    if wanted.kind == "density":
        grid = np.linspace(-0.1 * top, 1.1 * top, 50)
        return {"grid": list(grid), "density": list(np.exp(-grid / top))}
    if wanted.kind == "trace":
        return {"value": 10 * top}
    fifth = top / (11.4 if not place(trial)[1] else 2.6)
    return {"values": [top, top / 2, top / 2, top / 2, fifth], "converged": [True] * 5, "loss": 0.1}


def made(**options):
    return Made(options.pop("accuracy", accuracy), measure=options.pop("measure", measure), **options)


def draw(name, results, at=PLAN):
    return ARTIFACTS[name].draw(at, results)


# The choice -----------------------------------------------------------------------------------------------------------
def test_rho_is_chosen_by_the_validation_split_over_all_seeds():
    assert chosen(PLAN, made(), REFERENCE) == "sam-0.1"
    one_seed = lambda trial: accuracy(trial) + 3 * (place(trial)[1] == 0.2 and trial.seed == 0)  # noqa: E731
    assert chosen(PLAN, made(validation=one_seed), REFERENCE) == "sam-0.1"
    turned = lambda trial: 200 - accuracy(trial)  # noqa: E731
    assert chosen(PLAN, made(accuracy=turned, validation=accuracy), REFERENCE) == "sam-0.1"  # no test example has a say


def test_nothing_is_chosen_before_the_grid_is_complete():
    results = made(accuracy=lambda trial: None if (place(trial)[1], trial.seed) == (0.2, 2) else accuracy(trial))
    assert chosen(PLAN, results, REFERENCE) is None
    assert {name for name, label, _, _ in compared(PLAN, results) if label == "SAM"} == {PLAIN}


def test_a_rho_at_which_a_run_diverged_is_not_chosen():
    lost = lambda trial: math.nan if (place(trial)[1], trial.seed) == (BEST, 1) else accuracy(trial)  # noqa: E731
    assert chosen(PLAN, made(accuracy=lost), REFERENCE) in ("sam-0.05", "sam-0.2")


# Runs and measures ----------------------------------------------------------------------------------------------------
def test_every_run_is_trained_once_and_the_table_needs_a_part_of_them():
    everything = trials(STUDY, PLAN, made_ids())
    assert len(everything) == 3 * (2 + 3 + 2) + 3 * 2
    assert set(table_runs(PLAN)) < set(everything)
    assert len({trial.label for trial in everything}) == len(everything)


def made_ids():
    results = made()
    results.id = lambda trial: trial.label
    return results


@pytest.mark.parametrize("scale", SCALES)
def test_sam_takes_twice_the_time_of_an_epoch(scale):
    for problem in PROBLEMS[scale].values():
        for arm in problem.arms:
            assert arm.longer == (1.0 if arm.key == SGD else 2.0)


def test_what_is_measured_is_what_is_read():
    results = made()
    wanted = {measure for artifact in STUDY.artifacts for measure in artifact.measures(PLAN, results)}
    assert {measure.kind for measure in wanted} == {"eigenvalues", "density", "trace"}
    assert len(wanted) == 3 * 2 * 2 * 3  # kinds, networks, methods, seeds
    assert eigenvalues(PLAN, PLAIN, "sam-0.1", 2) in wanted
    assert {weights for each in wanted for _, weights in each.of} == {"final"}
    assert len(spectrum_measures(PLAN, results)) == 24


def test_the_ratio_of_eigenvalues_is_absent_where_the_fifth_is_not_positive():
    found = curvature(PLAN, made(measure=lambda wanted: measure(wanted) | {"values": [2.0, 1.0, 0.5, 0.1, -0.1]}))
    assert found["ratio"].isna().all()
    assert (found["top"] == 2.0).all()


def test_m_is_compared_at_the_rho_that_all_have():
    results = made()
    whole, smallest = (smaller_groups(PLAN, results, REFERENCE, m) for m in (None, 8))
    assert {seed: whole[seed] - smallest[seed] for seed in whole} == pytest.approx(dict.fromkeys(range(3), 0.5))
    rows = smaller_groups(PLAN, made(accuracy=lambda trial: None), REFERENCE, 8)
    assert rows == {}


# Figures and tables ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ARTIFACTS)
def test_nothing_is_drawn_before_anything_has_run(name):
    assert draw(name, made(accuracy=lambda trial: None, measure=lambda wanted: None)) is None


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_can_be_drawn_also_with_a_diverged_run(name, tmp_path):
    for lost in (lambda trial: False, lambda trial: place(trial)[1] == 0.2):
        results = made(accuracy=lambda trial, lost=lost: math.nan if lost(trial) else accuracy(trial))
        figure, frame = draw(name, results)
        figure.savefig(tmp_path / f"{name}.png")
        assert len(frame)


def test_sgd_is_a_line_across_and_every_m_a_line_of_its_own():
    _, frame = draw("radii", made())
    assert set(frame["arm"]) == {"SAM, m = 64", "SAM, m = 16", "SAM, m = 8", "SGD", "SGD, twice the epochs"}
    across = frame[(frame["arm"] == "SGD") & (frame["seed"] == 0)]
    assert list(across["rho"]) == [0.05, 0.2]
    assert across["value"].nunique() == 1
    assert frame[frame["arm"] == "SAM, m = 8"]["rho"].unique().tolist() == [0.1]
    assert set(frame["problem"]) == {REFERENCE}


def test_the_spectra_mark_the_largest_eigenvalue():
    _, frame = draw("spectra", made())
    assert set(frame["problem"]) == {REFERENCE, PLAIN}
    assert set(frame[frame["arm"] == "SGD"]["top"].round(1)) == {24.0, 26.4, 28.8}


def test_the_table_has_the_reported_numbers_under_ours():
    table, frame = draw("methods", made())
    assert list(frame["source"]) == ["ours", "reported (P)", "reported (P)"]
    ours = frame.iloc[0]
    assert (ours["rho"], ours["SAM − SGD"][:5], ours["SAM − SGD, twice"][:5]) == ("0.1", "−3.00", "−2.50")
    assert list(frame["SAM"][1:]) == ["2.7 ± 0.1", "16.5 ± 0.2"]
    assert list(frame["SGD"][1:]) == ["3.5 ± 0.1*", "18.8 ± 0.2*"]
    assert "WRN-28-10 on CIFAR-100" in table.tex


def test_the_chosen_rho_is_marked_in_the_grid():
    _, frame = draw("grid", made())
    assert list(frame["m"]) == ["64 (whole batch)", "16", "8"]
    assert [column for column in frame if "★" in str(frame[column].iloc[0])] == ["rho 0.1"]


def test_the_curvature_stands_beside_the_training_loss_and_the_reported_one():
    _, frame = draw("minima", made())
    assert list(frame["source"]) == ["ours"] * 4 + ["reported (P)"] * 2
    assert list(frame["λ_max"][-2:]) == ["≈ 24", "1.0"]
    assert frame["train loss"].iloc[0].startswith("0.1")


# The claims -----------------------------------------------------------------------------------------------------------
def test_the_claims_are_judged_by_what_was_measured(tmp_path):
    found = judged(STUDY, PLAN, made())
    key = REFERENCE.lower()
    assert {claim.verdict for claim in found.values()} == {"reproduced"}
    assert found[f"sam-ahead-{key}"].measured == pytest.approx(3.0)
    assert found[f"sam-double-{key}"].measured == pytest.approx(2.5)
    assert found[f"sam-m-{key}"].measured == pytest.approx(0.5)
    for name in (key, PLAIN.lower()):
        assert found[f"sam-top-{name}"].measured == pytest.approx(1 / 24)
        assert found[f"sam-ratio-{name}"].measured == pytest.approx(2.6 / 11.4)
    assert found[f"sam-top-{key}"].reported is None  # the paper's are of a network without BatchNorm
    assert found[f"sam-top-{PLAIN.lower()}"].reported == "1.0 against about 24 of SGD (P)"
    assert found[f"sam-ahead-{key}"].reported.startswith(f"{facts.gain(REFERENCE):.1f} points")
    write_claims(tmp_path / "claims.json", found.values())
    assert read_claims(tmp_path / "claims.json") == list(found.values())


def test_what_is_no_better_is_not_reproduced():
    level = lambda trial: 90 + trial.seed + (place(trial)[3])  # noqa: E731
    found = judged(STUDY, PLAN, made(accuracy=level))
    key = REFERENCE.lower()
    assert found[f"sam-double-{key}"].verdict == "not reproduced"
    assert found[f"sam-m-{key}"].verdict != "reproduced"


def test_nothing_is_claimed_before_anything_has_run():
    found = judged(STUDY, PLAN, made(accuracy=lambda trial: None, measure=lambda wanted: None))
    assert {claim.verdict for claim in found.values()} == {"not run"}


def test_the_long_run_is_the_same_schedule_over_twice_the_epochs():
    for scale in SCALES:
        for problem in PROBLEMS[scale].values():
            long = problem.arm(LONG)
            if long is not None:
                options = dict(long.overrides)
                assert options["trainer.max_epochs"] == 2 * problem.epochs


def test_notes_say_what_departs():
    text = " ".join(STUDY.notes(PLAN))
    for words in (
        "momentum",
        "validation" if "validation" in text else "cut from the training data",
        "without BatchNorm",
    ):
        assert words in text
    assert "inconclusive" in " ".join(STUDY.notes(plan(STUDY, seeds=2)))


def test_finals_are_errors_in_per_cent():
    found = arms.finals(PLAN, made(), PROBLEMS, REFERENCE, SGD, "test_error")
    assert found == pytest.approx({0: 10.0, 1: 8.99, 2: 7.96})
