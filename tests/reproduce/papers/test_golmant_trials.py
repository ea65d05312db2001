"""What golmant trains: Table 1, which runs figures share, and how a run differs from its recipe."""

import itertools

import pytest

from bsgap import cli
from reproduce import recipes
from reproduce.papers import golmant
from reproduce.papers.golmant import trials
from reproduce.papers.golmant.facts import TABLE1
from reproduce.papers.golmant.problems import BASE, LINEAR, NETWORKS, PROBLEMS, ROOT, powers, problem
from reproduce.planning import make_plan
from reproduce.planning import trials as all_trials
from reproduce.results import Results
from reproduce.store import Store
from reproduce.study import SCALES

ARTIFACTS = {artifact.name: artifact for artifact in golmant.STUDY.artifacts}
EVERY = [(scale, name) for scale in SCALES for name in PROBLEMS[scale]]


def plan(scale="demo", **options):
    return make_plan(golmant.STUDY, scale, **options)


def resolved(scale, name):
    """The configuration of a problem's run at its base batch size."""
    return recipes.configuration(trials.run(plan(scale), name, PROBLEMS[scale][name].batches[0], BASE, 0))


@pytest.fixture
def results(tmp_path, monkeypatch):
    """An empty store, where the data sets that need a download are absent: the published digests count."""
    monkeypatch.setenv("BSGAP_DATA", str(tmp_path))
    return Results(Store(tmp_path))


# Table 1 of the paper, as printed

PAPER = {
    # data set, network, rules, base rate, epochs of warm-up, epochs, smallest and largest batch size
    "MNIST": ("mnist", "ResNet", (BASE, LINEAR), 0.1, 10, 200, 2**6, 2**14),
    "AlexNet": ("cifar10", "AlexNet", (BASE, LINEAR, ROOT), 0.1, 10, 200, 2**6, 2**14),
    "MobileNetV2": ("cifar10", "MobileNetV2", (BASE, LINEAR, ROOT), 0.1, 10, 200, 2**6, 2**14),
    "ResNet34": ("cifar10", "ResNet", (BASE, LINEAR, ROOT), 0.1, 10, 200, 2**6, 2**14),
    "VGG16": ("cifar10", "VGG", (BASE, LINEAR, ROOT), 0.1, 10, 200, 2**6, 2**14),
    "CIFAR-100": ("cifar100", "ResNet", (BASE, LINEAR), 0.1, 10, 200, 2**6, 2**14),
    "SVHN": ("svhn", "ResNet", (BASE, LINEAR), 0.1, 10, 200, 2**6, 2**14),
    "LSTM": ("wikitext-2", "LSTMLanguageModel", (BASE, LINEAR), 20, 3, 40, 2**3, 2**10),
    "DRN": ("cityscapes", "DRN", (BASE, LINEAR), 0.01, 10, 100, 2**3, 2**11),
}


@pytest.mark.parametrize("name", PAPER)
def test_table_1_is_what_runs_at_paper_scale_and_what_is_printed(name):
    source, network, rules, rate, warmup, epochs, low, high = PAPER[name]
    chosen, config, row = PROBLEMS["paper"][name], resolved("paper", name), TABLE1[name]
    options = config["model"]["init_args"]
    assert config["data"]["init_args"]["source"] == source
    assert options["network"]["class_path"] == f"bsgap.networks.{network}"
    assert options["network"]["init_args"].get("depth") in (None, {"ResNet": 34, "VGG": 16, "DRN": 22}.get(network))
    assert options["network"]["init_args"].get("width", 1) == 1
    assert options["optimizer"]["class_path"] == "torch.optim.SGD"
    assert float(options["optimizer"]["init_args"]["lr"]) == rate
    assert float(config["rate"]["warmup_epochs"]) == warmup
    assert config["trainer"]["max_epochs"] == epochs
    assert "lr_scheduler" not in config
    assert chosen.rules == rules
    assert chosen.batches == tuple(2**power for power in range(low.bit_length() - 1, high.bit_length()))
    assert (chosen.batches[0], chosen.batches[-1]) == (low, high)
    assert (row.rate, row.warmup, row.epochs) == (rate, warmup, epochs)
    assert powers(*row.batches) == chosen.batches
    assert row.rules == ", ".join({BASE: "BLR", LINEAR: "LSR", ROOT: "SRSR"}[rule] for rule in rules)
    assert "analogue" not in chosen.data


def test_the_paper_cuts_mnist_and_svhn_to_the_size_of_cifar_and_fig_4_takes_600_000_of_svhn():
    sizes = {
        name: PROBLEMS["paper"][name].examples for name in ("ResNet34", "CIFAR-100", "SVHN", "MNIST", "SVHN-extra")
    }
    assert sizes == {"ResNet34": 50_000, "CIFAR-100": 50_000, "SVHN": 50_000, "MNIST": 50_000, "SVHN-extra": 604_388}
    assert [name for name in PROBLEMS["paper"] if PROBLEMS["paper"][name].fractions] == ["ResNet34", "SVHN-extra"]
    assert PROBLEMS["paper"]["ResNet34"].fractions == (1.0, 0.5, 0.25)


# What problems.py states is what the recipes hold

WHOLE = {"mnist": 60_000, "cifar10": 50_000, "cifar100": 50_000, "cityscapes": 2_975, "camvid": 62, "drawn": 48}
WIKITEXT_TOKENS = 2_088_628


@pytest.mark.parametrize(("scale", "name"), EVERY)
def test_a_problem_and_its_recipe_agree(scale, name):
    chosen, config = PROBLEMS[scale][name], resolved(scale, name)
    data = config["data"]["init_args"]
    assert golmant.STUDY.data(name, scale) == data["source"] == chosen.source
    assert config["trainer"]["max_epochs"] == chosen.epochs
    base = chosen.batches[0]
    assert config["rate"]["base_batch_size"] == data["batch_size"] == base
    assert config["model"]["init_args"].get("micro_batch") == (None if name == "LSTM" else base)
    assert config["rate"]["scaling"] == "base"
    assert 0 < config["rate"]["warmup_epochs"] < chosen.epochs
    if name == "LSTM":
        tokens = data.get("train_tokens") or WIKITEXT_TOKENS
        assert chosen.examples == tokens // data["sequence_length"]
        assert data["sequence_length"] == 35
        assert config["model"]["init_args"]["gradient_clip"] == 0.25
    else:
        assert chosen.examples == (data.get("train_examples") or WHOLE[chosen.source])
        assert data["last"] == "drop"
        assert config["model"]["init_args"]["statistics"] == "batch"
    assert list(chosen.batches) == sorted(set(chosen.batches))
    assert chosen.batches[-1] <= chosen.examples
    kind = {"LSTM": "text", "DRN": "scenes"}.get(name, "image")
    optimizer = config["model"]["init_args"]["optimizer"]["init_args"]
    tenth = (scale, name) == ("laptop", "AlexNet")  # its recipe says why
    assert float(optimizer["lr"]) == trials.BASE_RATES[kind] / (10 if tenth else 1)
    assert float(optimizer["momentum"]) == (0 if name == "LSTM" else 0.9)
    assert float(optimizer["weight_decay"]) == {"text": 0, "scenes": 1e-4, "image": 5e-4}[kind]
    assert config["keep"]["ends"]
    assert config["curves"]["per_doubling"]


@pytest.mark.parametrize("name", PROBLEMS["demo"])
def test_the_examples_are_those_that_the_data_really_have(name):
    chosen = PROBLEMS["demo"][name]
    config = resolved("demo", name)
    data = cli.build_data(config["data"])
    data.setup("fit")
    shorter = chosen.batches[0] if name == "LSTM" else 0  # the last sequence of each column of text
    assert chosen.examples <= data.n_train <= chosen.examples + shorter
    network = config["model"]["init_args"]["network"]["init_args"]
    assert network.get("classes", network.get("vocabulary")) == data.classes


@pytest.mark.parametrize("scale", SCALES)
def test_every_row_of_table_1_runs_or_is_said_not_to(scale):
    named = set(golmant.STUDY.networks[scale]) | set(golmant.STUDY.absent.get(scale, {}))
    assert named == {*TABLE1, "SVHN-extra"}  # which Fig. 4 has and the table has not
    assert set(PROBLEMS[scale]) == set(golmant.STUDY.networks[scale])
    assert not set(golmant.STUDY.networks[scale]) & set(golmant.STUDY.absent.get(scale, {}))


@pytest.mark.parametrize("scale", ["demo", "laptop"])
def test_what_is_not_the_papers_is_called_an_analogue(scale):
    assert all("analogue" in chosen.data for chosen in PROBLEMS[scale].values())
    (note,) = [line for line in golmant.STUDY.notes(plan(scale)) if line.startswith("Analogues")]
    assert all(chosen.data in note for chosen in PROBLEMS[scale].values())


# Which runs there are


def test_at_the_base_batch_size_every_rule_is_the_same_run(results):
    chosen = plan()
    same = [trials.run(chosen, "ResNet34", 16, rule, 1) for rule in (BASE, LINEAR, ROOT)]
    assert len(set(same)) == len({results.id(trial) for trial in same}) == 1
    larger = [trials.run(chosen, "ResNet34", 32, rule, 1) for rule in (BASE, LINEAR, ROOT)]
    assert len({results.id(trial) for trial in larger}) == 3
    assert [dict(trial.overrides).get("rate.scaling") for trial in larger] == [None, "linear", "square-root"]


@pytest.mark.parametrize("scale", SCALES)
def test_figures_share_their_runs(scale, results):
    chosen = plan(scale)
    by_figure = {name: {results.id(trial) for trial in each.trials(chosen)} for name, each in ARTIFACTS.items()}
    union = {results.id(trial) for trial in all_trials(golmant.STUDY, chosen, results)}
    assert union == set.union(*by_figure.values())
    assert 2 * len(union) < sum(map(len, by_figure.values()))
    assert by_figure["fig1"] == by_figure["fig5"]
    assert by_figure["fig2left"] == by_figure["cost"] == by_figure["levels"]
    assert by_figure["fig2right"] < by_figure["fig2left"]
    assert union == by_figure["regimes"] | by_figure["longer"]
    assert by_figure["table1"] == by_figure["contradictions"] == set()


def test_the_runs_of_the_demo_counted_by_hand(results):
    # ResNet-8: 5 batches x 3 rules, the base batch shared, x 3 seeds; shares of the data: 4 and 3 batches x 3 seeds;
    # longer: the largest batch under two rules x 3 seeds; VGG11: 5 batches x 3 seeds; LSTM, DRN: 4 batches x 2 rules.
    expected = (5 + 4 + 4) * 3 + (4 + 3) * 3 + 2 * 3 + 5 * 3 + 2 * (4 + 3)
    assert len(all_trials(golmant.STUDY, plan(), results)) == expected == 95


@pytest.mark.parametrize("scale", SCALES)
def test_every_override_is_an_option_of_the_recipe_and_every_id_its_own(scale, results):
    found = {}
    for trial in itertools.chain.from_iterable(each.trials(plan(scale)) for each in ARTIFACTS.values()):
        found.setdefault(results.id(trial), set()).add(trial)  # raises where an option is unknown
    assert all(len(trials) == 1 for trials in found.values())


@pytest.mark.parametrize(("scale", "name"), [(s, n) for s, n in EVERY if PROBLEMS[s][n].fractions])
def test_a_share_of_the_data_is_a_smaller_training_set(scale, name):
    chosen, of = plan(scale), PROBLEMS[scale][name]
    whole = trials.run(chosen, name, of.batches[0], BASE, 0)
    assert trials.run(chosen, name, of.batches[0], BASE, 0, fraction=1.0) == whole
    quarter = recipes.configuration(trials.run(chosen, name, of.batches[0], BASE, 0, fraction=0.25))
    expected = recipes.configuration(whole)
    expected["data"]["init_args"]["train_examples"] = of.examples // 4
    assert quarter == expected
    assert trials.batches(of, 0.25) == [batch for batch in of.batches if 2 * batch <= of.examples / 4]
    assert {dict(t.overrides)["data.init_args.batch_size"] for t in trials.of_sizes(chosen, (name,))} == set(of.batches)


@pytest.mark.parametrize(("scale", "name"), EVERY)
def test_the_whole_data_are_trained_on_at_every_batch_size_that_is_stated(scale, name):
    of, rules = PROBLEMS[scale][name], PROBLEMS[scale][name].rules
    found = trials.of_problems(plan(scale), (name,), rules)
    assert {dict(trial.overrides)["data.init_args.batch_size"] for trial in found} == set(of.batches)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.25])
def test_the_share_is_what_is_trained_on(share):
    trial = trials.run(plan(), "ResNet34", 16, BASE, 0, fraction=share)
    data = cli.build_data(recipes.configuration(trial)["data"])
    data.setup("fit")
    assert data.n_train == 1000 * share


def test_fewer_seeds_of_the_shares_where_the_problem_says_so():
    chosen = plan("laptop")
    by_size = {}
    for trial in trials.of_sizes(chosen, ("ResNet34",)):
        by_size.setdefault(dict(trial.overrides).get("data.init_args.train_examples"), set()).add(trial.seed)
    assert by_size == {None: {0, 1, 2}, 5000: {0}, 2500: {0}}


def test_training_longer_is_more_epochs_of_the_same():
    chosen, of = plan(), problem(plan(), "ResNet34")
    found = trials.of_longer(plan(seeds=1))
    assert len(found) == 1 + 2 * 2
    longer = trials.run(chosen, "ResNet34", of.batches[-1], LINEAR, 0, longer=2)
    assert longer in found
    config = recipes.configuration(longer)
    expected = recipes.configuration(trials.run(chosen, "ResNet34", of.batches[-1], LINEAR, 0))
    expected["trainer"]["max_epochs"] *= 2
    assert config == expected
    assert {dict(t.overrides)["data.init_args.batch_size"] for t in found} == {of.batches[0], of.batches[-1]}


@pytest.mark.parametrize("scale", SCALES)
def test_the_error_is_taken_with_the_rate_that_the_run_ended_with(scale):
    chosen, of = plan(scale), PROBLEMS[scale]["ResNet34"]
    for batch in (of.batches[0], of.batches[-1]):
        measure = trials.approximation(chosen, "ResNet34", batch, 2)
        ((trial, name),) = measure.of
        config = recipes.configuration(trial)
        rate = float(config["model"]["init_args"]["optimizer"]["init_args"]["lr"])
        assert (trial, name) == (trials.run(chosen, "ResNet34", batch, LINEAR, 2), "final")
        assert dict(measure.options) == {
            "rate": rate * batch / config["rate"]["base_batch_size"], "batch_size": batch, "draws": 3, "seed": 2,
        }  # fmt: skip


def test_labels_tell_the_runs_apart():
    found = all_trials(golmant.STUDY, plan(), Results(Store("nowhere")))
    assert len({trial.label for trial in found}) == len(found)
    assert "ResNet-8, batch 256, linear scaling, 2 x the epochs, seed 0" in {trial.label for trial in found}


def test_one_network_alone_runs_without_the_others(results):
    for scale in SCALES:
        for name in PROBLEMS[scale]:
            alone = plan(scale, networks=[name])
            found = all_trials(golmant.STUDY, alone, results)
            assert {trial.recipe for trial in found} == {PROBLEMS[scale][name].recipe}, (scale, name)
            assert bool(ARTIFACTS["fig2left"].trials(alone)) == (name == "ResNet34")
            assert bool(ARTIFACTS["fig3"].trials(alone)) == (name in (*NETWORKS, "CIFAR-100", "SVHN", "MNIST"))
