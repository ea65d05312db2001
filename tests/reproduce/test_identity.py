import copy
import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import yaml
from store_cases import FINGERPRINT, config, identifier

from bsgap.errors import UsageError
from reproduce import identity, papers
from reproduce.atomic import read_json, read_yaml
from reproduce.identity import canonical, digest, run_id
from reproduce.planning import make_plan, trials
from reproduce.results import Results
from reproduce.store import Store
from reproduce.study import SCALES

RUNS = Path(__file__).parents[2] / "paper" / "results" / "runs"
PUBLISHED = sorted(path.parent for path in RUNS.glob("*/run.json"))


def altered(path, value):
    """The config with the dotted option `path` set to `value`."""
    settings = copy.deepcopy(config())
    *parents, last = path.split(".")
    section = settings
    for parent in parents:
        section = section.setdefault(parent, {})
    section[last] = value
    return settings


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed_everything", 1),
        ("trainer.max_epochs", 6),
        ("trainer.max_steps", 100),
        ("trainer.precision", "bf16-mixed"),
        ("trainer.gradient_clip_val", 1.0),
        ("trainer.gradient_clip_algorithm", "value"),
        ("trainer.limit_train_batches", 0.5),
        ("trainer.accumulate_grad_batches", 2),
        ("rate", {"scaling": "linear", "base_batch_size": 16}),
        ("rate", {"scaling": "square-root", "base_batch_size": 16}),
        ("rate", {"scaling": "base", "rule": {"class_path": "own.Rule", "init_args": {"power": 0.7}}}),
        ("decay", {"shape": "steps", "every": 20, "factor": 0.1}),
        ("decay", {"shape": "polynomial", "power": 2.0}),
        ("model.class_path", "other.Task"),
        ("model.init_args.network.init_args.classes", 100),
        ("model.init_args.optimizer.class_path", "torch.optim.SGD"),
        ("model.init_args.optimizer.init_args.lr", 0.002),
        ("model.init_args.micro_batch", 16),
        ("model.init_args.seed", 0),
        ("data.class_path", "other.Data"),
        ("data.init_args.source", "mnist"),
        ("data.init_args.batch_size", 65),
        ("data.init_args.train_examples", 500),
        ("data.init_args.validation_examples", 100),
        ("stopping.patience", 4),
        ("lr_scheduler.class_path", "torch.optim.lr_scheduler.StepLR"),
    ],
)
def test_what_decides_the_numbers_changes_the_id(path, value):
    assert identifier(altered(path, value)) != identifier(config())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("trainer.accelerator", "gpu"),
        ("trainer.devices", 4),
        ("trainer.default_root_dir", "/elsewhere"),
        ("trainer.logger", {"class_path": "WandbLogger"}),
        ("trainer.callbacks", [{"class_path": "Sharpness"}]),
        ("trainer.max_time", None),
        ("trainer.limit_train_batches", 1.0),
        ("trainer.overfit_batches", 0.0),
        ("trainer.precision", 32),
        ("trainer.precision", None),
        ("model.init_args.gradient_clip", None),
        ("model.init_args.optimizer.init_args.lr", 1e-3),
        ("model.init_args.optimizer.init_args.lr", "1e-3"),  # as PyYAML reads it
        ("model.init_args.optimizer.init_args.betas", (0.9, 0.999)),
        ("data.init_args.batch_size", 64.0),
        ("data.init_args.root", None),
        ("data.init_args.download", True),
        ("data.init_args.validation_examples", 0),
        ("data.init_args.train_examples", None),
        ("rate", {"scaling": "base", "warmup_epochs": 0.0}),
        ("rate", {"scaling": "base", "base_batch_size": 16, "warmup_epochs": 10}),  # it multiplies by 1 throughout
        ("rate", {"base_batch_size": 16}),
        ("rate", None),
        ("decay", {"shape": "none", "factor": 0.1, "power": 2.0, "stretch": 1.0}),
        ("decay", None),
        ("keep.epochs", [5]),
        ("curves.per_epoch", 9),
        ("threads", 2),
        ("wandb.mode", "online"),
    ],
)
def test_what_does_not_decide_the_numbers_leaves_the_id(path, value):
    assert identifier(altered(path, value)) == identifier(config())


def test_a_rule_for_the_rate_is_told_by_all_that_it_depends_on():
    rule = {"scaling": "linear", "base_batch_size": 16, "warmup_epochs": 1.0}
    others = [{"scaling": "square-root"}, {"base_batch_size": 32}, {"warmup_epochs": 2.0}, {"warmup_epochs": 0.0}]
    others += [{"warmup": "constant"}]
    rules = [rule, *(rule | other for other in others)]
    assert len({identifier(altered("rate", rule)) for rule in rules}) == len(rules)
    assert identifier(altered("rate", rule | {"warmup_epochs": 1, "batch_size": None})) == identifier(
        altered("rate", rule)
    )
    assert identifier(altered("rate", rule | {"warmup": "gradual"})) == identifier(altered("rate", rule))
    without = rule | {"warmup_epochs": 0}
    assert identifier(altered("rate", without | {"warmup": "constant"})) == identifier(altered("rate", without))


def test_a_decay_is_told_by_all_that_it_depends_on():
    decay = {"shape": "steps", "milestones": [30, 60], "factor": 0.1, "stretch": 1.0}
    others = [{"milestones": [30, 61]}, {"factor": 0.2}, {"stretch": 4.0}, {"factors": [0.1, 0.5]}]
    decays = [decay, *(decay | other for other in others)]
    assert len({identifier(altered("decay", decay)) for decay in decays}) == len(decays)
    assert identifier(altered("decay", decay | {"milestones": [30.0, 60.0], "every": None})) == identifier(
        altered("decay", decay)
    )


def test_the_data_and_the_protocol_are_part_of_it(monkeypatch):
    here = identifier(config())
    assert run_id(config(), "digits-2") != here
    assert run_id(config(), None) != here
    monkeypatch.setattr(identity, "PROTOCOL", identity.PROTOCOL + 1)
    assert identifier(config()) != here


def test_yaml_and_key_order_do_not_matter():
    def turned(value):
        return {key: turned(value[key]) for key in reversed(value)} if isinstance(value, dict) else value

    text = yaml.safe_dump(config(), default_flow_style=True)
    assert identifier(turned(config())) == identifier(yaml.safe_load(text)) == identifier(config())
    assert identifier(json.loads(json.dumps(config()))) == identifier(config())


def test_same_id_in_another_process():
    code = "from store_cases import *; print(identifier(config()))"
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == identifier(config())
    assert len(identifier(config())) == 16


def test_the_config_is_left_as_it_was():
    settings = config(initial_weights="results/runs/0123456789abcdef/weights/final.pt")
    before = copy.deepcopy(settings)
    identifier(settings)
    assert settings == before


@pytest.mark.skipif(not PUBLISHED, reason="no published runs beside the package")
def test_published_runs_keep_their_ids():
    for folder in PUBLISHED:
        record, settings = read_json(folder / "run.json"), read_yaml(folder / "config.yaml")
        assert run_id(settings, record["fingerprint"]) == record["id"] == folder.name
        assert identity.identity(settings, record["fingerprint"]) == record["identity"]


@pytest.mark.skipif(not PUBLISHED, reason="no published runs beside the package")
def test_published_runs_are_those_that_the_recipes_ask_for():
    """Where they are not, a clone trains anew what it has the results of."""
    records = [read_json(folder / "run.json") for folder in PUBLISHED]
    fingerprints = {(record["identity"]["data"]["init_args"]["source"], record["fingerprint"]) for record in records}
    results = Results(Store(PUBLISHED[0].parents[1]))  # some runs are decided by others
    results._fingerprints = dict(fingerprints)
    assert len(results._fingerprints) == len(fingerprints)  # one for each data set
    asked = {name: set() for name in papers.TITLES}
    for name in papers.TITLES:
        study = papers.study(name)
        sources = set(results._fingerprints)
        for scale in SCALES:
            networks = [net for net in study.networks[scale] if study.data(net, scale) in sources]
            if networks:
                plan = make_plan(study, scale, networks=networks)
                asked[name] |= {results.id(trial) for trial in trials(study, plan, results)}
    published = {record["id"] for record in records}
    assert published <= set.union(*asked.values())
    assert len(published & asked["keskar"]) >= 39  # published before there was a rule for the rate


@pytest.mark.parametrize("name", ["final", "epoch-5", "loss-0.1"])
def test_weights_of_a_run_are_named_by_the_run(name):
    places = [f"{root}runs/0123456789abcdef/weights/{name}.pt" for root in ("", "/here/", "../there/")]
    ids = {identifier(config(initial_weights=place)) for place in [*places, f"0123456789abcdef/{name}"]}
    assert len(ids) == 1
    assert ids != {identifier(config(initial_weights=f"runs/0123456789abcdee/weights/{name}.pt"))}
    assert ids != {identifier(config(initial_weights="runs/0123456789abcdef/weights/other.pt"))}


def test_other_weights_are_named_by_their_content(tmp_path):
    paths = [tmp_path / name for name in ("a.pt", "b.pt", "c.pt")]
    for path, content in zip(paths, (b"one", b"one", b"two"), strict=True):
        path.write_bytes(content)
    first, second, third = (identifier(config(initial_weights=str(path))) for path in paths)
    assert first == second != third
    with pytest.raises(UsageError, match=r"nothing at .*missing\.pt"):
        identifier(config(initial_weights=str(tmp_path / "missing.pt")))


def test_canonical_has_one_spelling():
    assert canonical({1: (1.0, -0.0), "a": None, "p": Path("x/y")}) == {"1": [1, 0], "p": "x/y"}
    assert canonical([True, 1, "1", "2e-3", 1e300]) == [True, 1, "1", 0.002, 1e300]
    assert canonical(True) is True
    assert digest([float("nan"), float("inf")]) == digest(["nan", "inf"])
    assert digest({"lr": 0.1}) != digest({"lr": 0.1 + 2**-55 * 1.5})


@pytest.mark.parametrize("seed", [None, True, "0", 0.5])
def test_a_run_needs_a_seed(seed):
    with pytest.raises(UsageError, match="seed_everything must be an integer"):
        identifier(altered("seed_everything", seed))


def test_what_is_no_config_is_refused():
    with pytest.raises(UsageError, match="got Namespace"):
        identifier(altered("model.init_args.network", Namespace()))
    with pytest.raises(UsageError, match="model must be a mapping"):
        run_id({"seed_everything": 0, "model": "bsgap.tasks.ImageClassification"}, FINGERPRINT)
