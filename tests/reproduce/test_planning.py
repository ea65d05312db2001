from types import SimpleNamespace

import pytest

from bsgap.errors import MissingData, UsageError
from reproduce import planning
from reproduce.study import Artifact, Plan, Study, Trial


def trial(batch, seed=0, start=None, keep=()):
    return Trial("paper", "net", "demo", seed, (("batch", batch),), start=start, keep_epochs=keep)


SMALL, LARGE = trial(10, keep=(1,)), trial(100)
WARM = trial(100, start=(SMALL, "epoch-1"))
TRIALS = {"fig1": [SMALL, LARGE], "fig2": [LARGE], "fig3": [WARM]}


def artifact(name):
    return Artifact(name, name, "", "figure", lambda plan: TRIALS[name], lambda plan, results: [], lambda *_: None)


STUDY = Study(
    name="paper", title="", citation="", networks={"demo": {"small": 5, "F1": 3}, "laptop": {"F1": 3}},
    absent={"demo": {"C1": "it is too large"}}, data=lambda network, scale: "digits" if network == "small" else "mnist",
    artifacts=tuple(map(artifact, TRIALS)), claims=lambda *_: [], notes=lambda _: [],
)  # fmt: skip


class Results:
    """A store's view in which the trials of `done` have run."""

    data_root = None

    def __init__(self, *done):
        self.done = done

    def id(self, trial):
        return repr((trial.overrides, trial.seed, self.id(trial.start[0]) if trial.start else None))

    def run(self, trial):
        return SimpleNamespace() if trial in self.done else None


def test_the_default_plan_is_everything_that_the_scale_offers():
    plan = planning.make_plan(STUDY, "demo")
    assert plan == Plan(
        "paper", "demo", ("small", "F1"), {"small": 5, "F1": 3}, {"C1": "it is too large"}, ("fig1", "fig2", "fig3")
    )


def test_options_narrow_it_down_in_the_studys_order():
    plan = planning.make_plan(STUDY, "demo", figures=["fig3", "fig1"], networks=["f1"], seeds=2)
    assert (plan.networks, plan.seeds, plan.artifacts) == (("F1",), {"F1": 2}, ("fig1", "fig3"))
    assert plan.not_run == {}  # nobody asked for the others
    both = planning.make_plan(STUDY, "demo", networks=["F1", "SMALL"])
    assert both.networks == ("small", "F1")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scale": "huge"}, "unknown scale 'huge': expected one of demo, laptop, gpu, paper."),
        ({"figures": ["fig1", "fig9"]}, "unknown figure 'fig9': expected one of fig1, fig2, fig3."),
        ({"networks": ["F9"]}, "unknown network 'F9': expected one of small, F1, C1."),
        ({"networks": ["c1"]}, "--network C1 is not run at scale demo: it is too large."),
        ({"seeds": 0}, "--seeds must be at least 1, got 0."),
    ],
)
def test_what_the_study_does_not_offer_is_refused(options, said):
    with pytest.raises(UsageError) as error:
        planning.make_plan(STUDY, **{"scale": "demo"} | options)
    assert str(error.value) == said


def test_a_run_that_two_figures_need_is_one():
    plan = planning.make_plan(STUDY, "demo", figures=["fig1", "fig2"])
    assert planning.trials(STUDY, plan, Results()) == [SMALL, LARGE]


def test_what_a_run_starts_from_is_run_too():
    plan = planning.make_plan(STUDY, "demo", figures=["fig3"])
    found = planning.trials(STUDY, plan, Results())
    assert found == [SMALL, WARM]
    assert found[0].keep_epochs == (1,)


def test_networks_without_data_are_left_out_with_the_reason(monkeypatch):
    monkeypatch.setattr(planning, "check_data", missing("mnist"))
    plan = planning.with_data_at_hand(STUDY, planning.make_plan(STUDY, "demo"), Results())
    assert (plan.networks, plan.seeds) == (("small",), {"small": 5})
    assert plan.not_run == {"C1": "it is too large", "F1": "data are missing: no mnist"}


def test_data_are_not_needed_where_every_run_is_done(monkeypatch):
    monkeypatch.setattr(planning, "check_data", missing("mnist", "digits"))
    plan = planning.make_plan(STUDY, "demo")
    assert planning.with_data_at_hand(STUDY, plan, Results(SMALL, LARGE, WARM)) == plan


def test_without_any_data_the_first_reason_is_the_error(monkeypatch):
    monkeypatch.setattr(planning, "check_data", missing("mnist", "digits"))
    with pytest.raises(MissingData, match="no digits"):
        planning.with_data_at_hand(STUDY, planning.make_plan(STUDY, "demo"), Results())


def test_check_data_reads_nothing_that_is_there(tmp_path, monkeypatch):
    from bsgap.data import sources

    planning.check_data("digits", None)  # embedded
    with pytest.raises(MissingData, match="MNIST is not at hand"):
        planning.check_data("mnist", str(tmp_path))
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{name}-ubyte").touch()
    monkeypatch.setattr(sources, "load", None)
    planning.check_data("mnist", str(tmp_path))


def missing(*absent):
    def check(name, root):
        if name in absent:
            raise MissingData(f"no {name}")

    return check
