"""Jobs as the worker does them, against the command by hand and against the measures called directly."""

import json

import pytest
import torch
from torch.nn.functional import cross_entropy

from bsgap import cli
from bsgap.data import ImageData
from bsgap.errors import UsageError
from bsgap.measures import keskar_sharpness, layer_norms, linear_approximation, mini_batch
from bsgap.networks import SmallConvNet
from reproduce import worker
from reproduce.atomic import sha256
from reproduce.store import Store


@pytest.fixture(scope="module")
def store(studied):
    return Store(studied)


def labelled(store, label):
    """The run with that label."""
    manifest = json.loads((store.root / "keskar" / "demo" / "manifest.json").read_text())
    return store.run(next(run["id"] for run in manifest["runs"] if run["label"] == label))


SMALL, LARGE = "small, batch 10, seed 0", "small, batch 20, seed 0"
WARM = "small, large batch from epoch 1 of small, seed 0"


@pytest.mark.parametrize("label", [SMALL, WARM])
def test_a_run_by_hand_gives_the_same_numbers(label, store, tmp_path, monkeypatch):
    run = labelled(store, label)
    monkeypatch.chdir(store.root.parent)
    config = f"results/runs/{run.id}/config.yaml"
    assert cli.main(["fit", "--config", config, f"--trainer.default_root_dir={tmp_path}"]) == 0
    assert sha256(tmp_path / "metrics.csv") == sha256(run.folder / "metrics.csv")
    for name in run.kept:
        mine, stored = (torch.load(folder / "weights" / f"{name}.pt") for folder in (tmp_path, run.folder))
        assert all(torch.equal(mine[key], stored[key]) for key in stored)


def test_a_warm_start_begins_where_its_source_was(store):
    source, warm = labelled(store, SMALL), labelled(store, WARM)
    begin, kept = torch.load(warm.weights("initial")), torch.load(source.weights("epoch-1"))
    assert all(torch.equal(begin[key], kept[key]) for key in kept)
    assert warm.record["identity"]["model"]["init_args"]["initial_weights"] == f"{source.id}/epoch-1"


def test_a_run_that_is_done_is_not_trained_again(store, monkeypatch):
    run = labelled(store, SMALL)
    monkeypatch.setattr(worker.cli, "BsgapCLI", None)
    payload = {
        "root": str(store.root),
        "id": run.id,
        "weights": ["final"],
        "wandb": {},
        "config": {},
        "fingerprint": "",
    }
    assert worker.execute("train", payload, lambda state: None) == {"status": "finished", "warnings": []}


def ends(store, kind, *places, **options):
    """A measure of weights, each (label, name), as a worker takes it."""
    runs = [(labelled(store, label), name) for label, name in places]
    weights = [str(run.weights(name)) for run, name in runs]
    payload = {"config": runs[0][0].config, "weights": weights, "options": options}
    return worker.execute(kind, payload, lambda state: None)


@pytest.fixture(scope="module")
def data():
    data = ImageData("digits", 10, train_examples=100, test_examples=50, seed=5)
    data.setup("fit")
    return data


@pytest.fixture
def network(store):
    network = SmallConvNet(in_shape=(1, 8, 8), classes=10, width=4)
    network.load_state_dict(torch.load(labelled(store, SMALL).weights("final")))
    return network


def test_an_evaluation_is_over_the_whole_sets_with_the_batchs_statistics(store, data, network):
    found = ends(store, "evaluation", (SMALL, "final"))
    network.train()  # BatchNorm takes the batch's statistics then; there is no dropout in this network
    for split, examples in (("train", 100), ("test", 50)):
        ((inputs, targets),) = data.batches(split)
        with torch.no_grad():
            logits = network(inputs)
        assert found[f"{split}_loss"] == pytest.approx(cross_entropy(logits, targets).item(), rel=1e-5)
        assert found[f"{split}_accuracy"] == (logits.argmax(1) == targets).double().mean().item()
        assert found[f"{split}_examples"] == len(targets) == examples
    assert found["statistics"] == "batch"
    assert found["_seconds"] > 0


def test_an_evaluation_of_one_split_is_that_of_both(store):
    both = ends(store, "evaluation", (SMALL, "final"))
    test = ends(store, "evaluation", (SMALL, "final"), split="test")
    assert set(test) == {"test_loss", "test_accuracy", "test_examples", "statistics", "_seconds"}
    assert {name: test[name] for name in test if name != "_seconds"}.items() <= both.items()


@pytest.mark.parametrize("examples", [None, 40])
def test_a_linear_approximation_is_the_mean_of_the_librarys_over_the_draws(examples, store, data, network):
    options = {"rate": 0.05, "batch_size": 20, "draws": 3, "seed": 4}
    found = ends(store, "linear-approximation", (SMALL, "final"), examples=examples, **options)
    direct = [
        linear_approximation(
            network, data.batches("train", examples=examples), mini_batch(data.batches("train", examples=examples), 20, 4, draw),
            rate=0.05, statistics="batch",
        )
        for draw in range(3)
    ]  # fmt: skip
    for name in ("error", "same_batch_error", "loss", "loss_after", "gradient_norm"):
        assert found[f"{name}_of_draws"] == [getattr(each, name) for each in direct]
    for name in ("error", "same_batch_error"):
        assert found[name] == sum(getattr(each, name) for each in direct) / 3
    assert len(set(found["error_of_draws"])) == 3  # the draws are different mini-batches
    assert (found["batch_size"], found["rate"], found["statistics"]) == (20, 0.05, "batch")
    assert found["examples"] == (examples or 100)
    json.dumps(found)


def test_a_mini_batch_that_is_larger_than_the_data_is_refused(store):
    options = {"rate": 0.1, "batch_size": 101, "draws": 1, "seed": 0}
    with pytest.raises(UsageError, match="between 1 and the 100 examples of the data, got 101"):
        ends(store, "linear-approximation", (SMALL, "final"), **options)


def test_a_sharpness_is_the_measure_of_the_library(store, data, network):
    options = {"epsilon": 1e-3, "maximiser": "lbfgsb", "subspace": 7, "seed": 3}
    found = ends(store, "sharpness", (SMALL, "final"), examples=40, **options)
    direct = keskar_sharpness(network, data.batches("train", examples=40), statistics="batch", **options)
    assert (found["examples"], found["subspace"], found["statistics"]) == (40, 7, "batch")
    assert found["value"] == direct.value


def test_a_path_runs_from_one_solution_to_the_other(store):
    found = ends(
        store, "path", (SMALL, "final"), (LARGE, "final"), shape="linear", low=-1, high=2, points=4, examples=None
    )
    assert found["alphas"] == [-1.0, 0.0, 1.0, 2.0]
    for index, label in ((1, SMALL), (2, LARGE)):
        end = ends(store, "evaluation", (label, "final"))
        for split in ("train", "test"):
            assert found["losses"][split][index] == pytest.approx(end[f"{split}_loss"], rel=1e-6)
            assert found["accuracies"][split][index] == end[f"{split}_accuracy"]


def test_times_are_those_of_the_batch_sizes_asked_for(store):
    found = ends(store, "timing", (SMALL, "final"), batches=[10, 150], rounds=2)  # of 100 examples
    assert (found["batches"], found["rounds"], found["precision"]) == ([10, 150], 2, "32-true")
    assert len(found["forward_seconds"]) == len(found["backward_seconds"]) == 2
    assert 0 < found["forward_seconds"][0] < found["forward_seconds"][1] < 5
    assert found["device"]
    json.dumps(found)


def test_norms_are_those_of_the_library_over_a_mini_batch(store, data, network):
    found = ends(store, "norms", (SMALL, "final"), batch_size=20)
    rows = layer_norms(network, mini_batch(data.batches("train", batch_size=20), 20))
    assert [layer["layer"] for layer in found["layers"]] == [row.name.removesuffix(".weight") for row in rows]
    assert [tuple(layer["shape"]) for layer in found["layers"]] == [row.shape for row in rows]
    for name in ("weight", "gradient", "ratio"):
        assert [layer[name] for layer in found["layers"]] == [getattr(row, name) for row in rows]
    assert (found["batch_size"], found["micro_batch"], found["statistics"]) == (20, None, "batch")
    initial = ends(store, "norms", (SMALL, "initial"), batch_size=20)
    assert initial["layers"] != found["layers"]
    json.dumps(found)


def test_a_distance_is_that_of_the_parameters(store, network):
    found = ends(store, "distance", (SMALL, "initial"), (SMALL, "final"))
    start = torch.load(labelled(store, SMALL).weights("initial"))
    gaps = [(start[name].double() - value.double()).flatten() for name, value in network.named_parameters()]
    assert found["distance"] == pytest.approx(torch.cat(gaps).norm().item(), rel=1e-12)


def test_progress_is_told_in_epochs(store, tmp_path):
    run = labelled(store, LARGE)
    told = []
    payload = {
        "root": str(tmp_path), "id": run.id, "config": run.config, "fingerprint": run.record["fingerprint"],
        "weights": [], "wandb": {"mode": "disabled"},
    }  # fmt: skip
    assert worker.execute("train", payload, told.append)["status"] == "finished"
    assert [state["epoch"] for state in told] == [0, 0.6, 1.0, 1.6, 2.0, 2.6, 3.0]
    assert {state["of"] for state in told} == {3}
    assert sha256(tmp_path / "runs" / run.id / "metrics.csv") == sha256(run.folder / "metrics.csv")
