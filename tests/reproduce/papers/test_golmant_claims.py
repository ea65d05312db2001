"""The verdict of every claim of golmant on runs that were made to hold it, to break it, or to leave it open."""

import math
from functools import cache

import numpy as np
import pytest
from golmant_runs import Synthetic, accuracy, error, judged, ladder, plan

from reproduce.claims import read_claims, write_claims
from reproduce.papers.golmant.problems import BASE, LINEAR
from reproduce.study import SCALES

HELD = {
    "golmant-ideal": 1.0, "golmant-partial": 1.0, "golmant-sublinear": 4 / 16, "golmant-flat": 1.0,
    "golmant-cost": 4.0,
    "golmant-linear-medium": 1.5, "golmant-linear-medium-lower": 1.5, "golmant-linear-large": 27.2465 / 36,
    "golmant-square-root-medium": (3.3 / 8**0.5 * 4.7 / 4) ** 0.5, "golmant-square-root-medium-lower": 3.3 / 8**0.5,
    "golmant-square-root-large": 0.8,
    "golmant-approximation": -2.0,
    "golmant-baseline-resnet34": 0.25 * math.log2(744 / (36 * 4)),
    "golmant-baseline-drn": 0.25 * math.log2(96 / (12 * 4)),
    "golmant-baseline-lstm": 0.25 * math.log2(321 / (39 * 4)),
    "golmant-networks-over-size": 0.5**0.5 / 2,  # at batch 64, the largest of a quarter of the data
    "golmant-longer-speed-base": 4 / 16, "golmant-longer-speed-linear": 2 / 16,
    "golmant-longer-accuracy-base": 2 * math.log10(16**3), "golmant-longer-accuracy-linear": 2 * math.log10(16**3),
}  # fmt: skip
ABSENT = {"golmant-data-over-size", "golmant-error-above-one"}  # the demo has one data set, and no batch above 2048
OF_A_PANEL = {id for id in HELD if not id.startswith(("golmant-approximation", "golmant-baseline", "golmant-longer"))}


def at(octaves, *, rule=BASE):
    """Speeds of one rule by batch size over the base; those of the others stay."""
    return lambda what: ladder(what, **{{BASE: "octaves", LINEAR: "scaled"}.get(rule, "root"): octaves})


def unlike_shares(what):
    """Networks that are alike, and shares of the data that are not."""
    return ladder(what._replace(name="ResNet34"), octaves=(1, 2, 4 * what.fraction, 4, 4))


PERFECT = (1, 2, 4, 8, 16)
OTHERWISE = {
    # what is otherwise, and the figures whose claims it breaks
    "no gain at the start": ({"speed": at((1, 1.2, 2, 3, 4))}, ("fig2left",)),
    "flat at once": ({"speed": at((1, 2, 2, 2, 2))}, ("fig2left",)),
    "perfect speed-up": ({"speed": at(PERFECT)}, ("fig2left", "fig1", "longer")),
    "linear rule no better": ({"speed": at((1, 2, 8**0.5, 4, 5), rule=LINEAR)}, ("fig2left",)),
    "root rule other": ({"speed": at((1, 2, 2.4, 2, 6), rule="square-root")}, ("fig2left",)),
    "linear rule far better": ({"speed": at((1, 2, 4, 8, 12), rule=LINEAR)}, ("longer",)),
    "one accuracy": ({"right": lambda what: 0.8}, ("fig2right", "longer")),
    "shares apart": ({"speed": unlike_shares}, ("fig4",)),
}
BROKEN = [
    # claim, what is otherwise, the effect that is then measured
    ("golmant-ideal", "no gain at the start", 0.6),
    ("golmant-partial", "perfect speed-up", 2**0.5),
    ("golmant-partial", "flat at once", 0.5**0.5),
    ("golmant-sublinear", "perfect speed-up", 1.0),
    ("golmant-flat", "perfect speed-up", 2.0),
    ("golmant-cost", "perfect speed-up", 1.0),
    ("golmant-linear-medium", "linear rule no better", 1.0),
    ("golmant-linear-medium-lower", "linear rule no better", 1.0),
    ("golmant-linear-large", "linear rule no better", 1.25),
    ("golmant-square-root-medium", "root rule other", (2.4 / 8**0.5 * 2 / 4) ** 0.5),
    ("golmant-square-root-medium-lower", "root rule other", 2.4 / 8**0.5),
    ("golmant-square-root-large", "root rule other", 1.5),
    ("golmant-approximation", "one accuracy", 0.0),
    ("golmant-baseline-resnet34", "perfect speed-up", 0.25 * math.log2(744 / (36 * 16))),
    ("golmant-baseline-drn", "perfect speed-up", 0.0),
    ("golmant-baseline-lstm", "perfect speed-up", 0.25 * math.log2(321 / (39 * 8))),
    ("golmant-networks-over-size", "shares apart", -1.0),
    ("golmant-longer-speed-base", "perfect speed-up", 1.0),
    ("golmant-longer-speed-linear", "linear rule far better", 12 / 16),
    ("golmant-longer-accuracy-base", "one accuracy", 0.0),
    ("golmant-longer-accuracy-linear", "one accuracy", 0.0),
]


@cache
def broken(otherwise):
    """Claims by id where something is otherwise."""
    how, figures = OTHERWISE[otherwise]
    chosen = plan("demo", *figures)
    return judged(chosen, Synthetic(chosen, **how))


@pytest.fixture(scope="module")
def held():
    chosen = plan()
    return judged(chosen, Synthetic(chosen))


def test_every_claim_of_the_demo_is_tried_here(held):
    assert set(held) == set(HELD) | ABSENT == {id for id, *_ in BROKEN} | ABSENT


@pytest.mark.parametrize("id", HELD)
def test_a_claim_that_holds_is_reproduced(id, held):
    claim = held[id]
    assert claim.measured == pytest.approx(HELD[id], rel=1e-4, abs=1e-9)
    assert (claim.verdict, claim.n_seeds, claim.scale) == ("reproduced", 3, "demo")
    assert "at least 3 seeds" in claim.rule


@pytest.mark.parametrize(("id", "otherwise", "effect"), BROKEN)
def test_a_claim_that_does_not_hold_is_not_reproduced(id, otherwise, effect):
    claim = broken(otherwise)[id]
    assert claim.measured == pytest.approx(effect, rel=1e-6, abs=1e-9)
    assert (claim.verdict, claim.n_seeds) == ("not reproduced", 3)


def test_two_seeds_leave_every_claim_open():
    chosen = plan(seeds=2)
    found = judged(chosen, Synthetic(chosen))
    assert {found[id].verdict for id in HELD} == {"inconclusive"}
    assert {found[id].n_seeds for id in HELD} == {2}
    assert {id: found[id].measured for id in HELD} == pytest.approx(HELD, rel=1e-4, abs=1e-9)


def test_one_seed_has_no_interval():
    chosen = plan(seeds=1)
    found = judged(chosen, Synthetic(chosen))
    assert {(found[id].verdict, found[id].uncertainty) for id in HELD} == {("inconclusive", None)}


def test_seeds_that_disagree_leave_a_claim_open():
    def speed(what):
        return at(PERFECT)(what) if what.seed == 0 else ladder(what)

    chosen = plan("demo", "fig2left", "fig1")
    found = judged(chosen, Synthetic(chosen, speed))
    for id in ("golmant-sublinear", "golmant-cost", "golmant-baseline-resnet34"):
        low, high = found[id].uncertainty
        assert low < found[id].measured < high
        assert (found[id].verdict, found[id].n_seeds) == ("inconclusive", 3)


@pytest.mark.parametrize("scale", SCALES)
def test_without_a_run_no_claim_is_judged(scale):
    chosen = plan(scale)
    found = judged(chosen, Synthetic(chosen, done=lambda what: False))
    assert {claim.verdict for claim in found.values()} == {"not run"}
    assert {(claim.measured, claim.n_seeds) for claim in found.values()} == {(None, 0)}
    assert "golmant-ideal" in found


def test_claims_on_what_has_been_run_do_not_wait_for_the_rest():
    chosen = plan()
    found = judged(chosen, Synthetic(chosen, done=lambda what: (what.rule, what.longer) == (BASE, 1)))
    waiting = {id for id, claim in found.items() if claim.verdict == "not run"}
    late = ("golmant-linear-", "golmant-square-root-", "golmant-longer-")
    assert waiting == ABSENT | {id for id in HELD if id.startswith(late)} | {"golmant-approximation"}
    assert "with 24 epochs for the latter" in found["golmant-longer-speed-base"].rule


@pytest.mark.parametrize(
    ("figure", "ids"),
    [
        ("fig1", ["golmant-baseline-resnet34", "golmant-baseline-drn", "golmant-baseline-lstm"]),
        ("fig2right", ["golmant-approximation", "golmant-error-above-one"]),
        ("fig4", ["golmant-networks-over-size", "golmant-data-over-size"]),
        ("longer", [f"golmant-longer-{what}-{rule}" for rule in ("base", "linear") for what in ("speed", "accuracy")]),
        ("fig3", []),  # no simpler data set at demo scale
        ("contradictions", []),
    ],
)
def test_claims_belong_to_the_figures_that_were_asked_for(figure, ids):
    chosen = plan("demo", figure)
    assert list(judged(chosen, Synthetic(chosen))) == ids


def test_claims_on_the_main_network_need_it():
    chosen = plan("demo", networks=["LSTM", "VGG16"])
    assert list(judged(chosen, Synthetic(chosen))) == ["golmant-baseline-lstm"]


# Divergence


def test_a_rule_that_diverged_at_the_largest_batch_leaves_its_claim_open():
    chosen = plan("demo", "fig2left")
    results = Synthetic(chosen, diverged=lambda what: what.rule == LINEAR and what.batch == 256)
    found = judged(chosen, results)
    claim = found["golmant-linear-large"]
    assert (claim.verdict, claim.n_seeds, claim.measured) == ("inconclusive", 0, None)
    assert "3 left out because a run diverged" in claim.rule
    assert found["golmant-linear-medium"].verdict == "reproduced"
    assert found["golmant-square-root-large"].verdict == "reproduced"


def test_one_diverged_seed_is_left_out_and_the_claim_open():
    chosen = plan("demo", "fig2left", "fig1")
    results = Synthetic(chosen, diverged=lambda what: (what.rule, what.batch, what.seed) == (BASE, 256, 1))
    found = judged(chosen, results)
    for id in ("golmant-sublinear", "golmant-cost", "golmant-baseline-resnet34"):
        assert (found[id].verdict, found[id].n_seeds) == ("inconclusive", 2)
        assert "1 left out because a run diverged" in found[id].rule
    assert found["golmant-ideal"].verdict == "reproduced"  # it does not look at that batch size


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        (lambda what: what.rule == BASE, "ResNet-8: no threshold: every run diverged, at batch sizes 256, 128, 64, 32"),
        (lambda what: what.batch == 16, "ResNet-8: batch 16, the smallest, never reached the threshold 1.308"),
    ],
)
def test_without_a_threshold_or_a_baseline_claims_are_open_and_say_why(where, reason):
    chosen = plan()
    found = judged(chosen, Synthetic(chosen, diverged=lambda what: what.name == "ResNet34" and where(what)))
    for id in OF_A_PANEL - {"golmant-networks-over-size"}:
        assert (found[id].verdict, found[id].measured) == ("inconclusive", None), id
        assert reason in found[id].rule or id.endswith("-lower")  # whose threshold is another
    assert found["golmant-networks-over-size"].verdict == "not run"
    assert found["golmant-baseline-lstm"].verdict == "reproduced"


def test_a_lost_batch_size_leaves_the_slope_of_a_seed_out():
    chosen = plan("demo", "fig2right")
    for lost in (
        Synthetic(chosen, diverged=lambda what: (what.rule, what.batch, what.seed) == (LINEAR, 256, 0)),
        Synthetic(chosen, wrong=lambda what: math.inf if (what.batch, what.seed) == (256, 0) else error(what)),
    ):
        claim = judged(chosen, lost)["golmant-approximation"]
        assert (claim.verdict, claim.n_seeds) == ("inconclusive", 2)
        assert claim.measured == pytest.approx(-2.0)


# Past batch 2048, which the demo scale does not have


@pytest.mark.parametrize(
    ("wrong", "verdict", "measured"),
    [
        (error, "reproduced", 1e-3 * 256**3),
        (lambda what: 1e-5 * what.batch, "not reproduced", 0.04096),
        (lambda what: math.inf if what.batch > 2048 else error(what), "reproduced", 1e6),
    ],
)
def test_the_error_past_batch_2048(wrong, verdict, measured):
    chosen = plan("laptop", "fig2right", networks=["ResNet34"])
    claim = judged(chosen, Synthetic(chosen, wrong=wrong))["golmant-error-above-one"]
    assert (claim.verdict, claim.measured) == (verdict, pytest.approx(measured))


def test_a_run_that_diverged_has_no_error():
    chosen = plan("laptop", "fig2right", networks=["ResNet34"])
    results = Synthetic(chosen, diverged=lambda what: what.rule == LINEAR and what.batch > 2048)
    claim = judged(chosen, results)["golmant-error-above-one"]
    assert (claim.verdict, claim.n_seeds) == ("inconclusive", 0)
    assert "3 left out because a run diverged" in claim.rule


# Fig. 3, which the demo scale does not have


@pytest.mark.parametrize(
    ("networks", "label"), [(("ResNet34", "SVHN", "MNIST"), "SVHN"), (("ResNet34", "MNIST"), "MNIST")]
)
@pytest.mark.parametrize(("last", "verdict"), [(32, "reproduced"), (8, "not reproduced")])
def test_simpler_data_than_cifar_10(networks, label, last, verdict):
    def speed(what):
        most = 16 if what.name == "ResNet34" else last
        return min(what.batch / 64, most)

    chosen = plan("laptop", "fig3", networks=networks)
    claim = judged(chosen, Synthetic(chosen, speed))["golmant-simpler-data"]
    assert claim.statement.startswith(f"{label}: ")
    assert (claim.verdict, claim.measured) == (verdict, pytest.approx(last / 16))
    assert "at batch 4096" in claim.rule


def test_data_sets_and_shares_of_one_are_compared_at_the_largest_batch_that_all_have():
    def speed(what):
        most = {"CIFAR-100": 2, "MNIST": 32}.get(what.name, 8)
        return min(what.batch / 64, most)

    chosen = plan("laptop", "fig4", networks=["ResNet34", "CIFAR-100", "MNIST"])
    claim = judged(chosen, Synthetic(chosen, speed))["golmant-data-over-size"]
    # A quarter of 10,000 images holds two batches of up to 1024: speed-ups of 2, 8 and 16, and of 8 for every share
    assert "at batch 1024 " in claim.rule
    assert (claim.verdict, claim.measured) == ("reproduced", pytest.approx(np.std([1, 3, 4], ddof=1)))


def test_the_ledger_can_be_written_and_read(held, tmp_path):
    write_claims(tmp_path / "claims.json", held.values())
    assert read_claims(tmp_path / "claims.json") == list(held.values())


def test_made_up_accuracy_falls_by_two_points_a_decade():
    what = next(iter(Synthetic(plan()).what.values()))
    assert 100 * accuracy(what) == pytest.approx(90 - 2 * math.log10(error(what)))
