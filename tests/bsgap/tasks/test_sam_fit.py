"""SAM in `bsgap fit`, from YAML: a loop by hand that takes two passes, or the base optimizer alone."""

import copy

import pytest
import torch
from probes import same
from torch import nn
from torch.nn.functional import cross_entropy

from bsgap import cli

BASES = {
    "sgd": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}},
    "adam": {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.01, "eps": 1e-3, "fused": True}},
}
NETWORK = {"class_path": "bsgap.networks.CifarResNet", "init_args": {"depth": 8, "in_shape": [1, 8, 8], "classes": 10}}


def recipe(runs, base, **options):
    """The recipe of the tests, with SAM and a network that draws nothing."""
    model = runs.values["model"]["init_args"]
    model["network"] = copy.deepcopy(NETWORK)
    model["optimizer"] = {
        "class_path": "bsgap.optim.SAM", "init_args": {"base": copy.deepcopy(BASES[base]), "rho": 0.1, **options},
    }  # fmt: skip
    return model


def by_hand(folder, precision):
    """Train what a run's stored configuration says: the network's state."""
    config = cli.resolve(folder / "config.yaml")
    task, data = cli.build(config["model"]), cli.build_data(config["data"])
    network = task.network
    data.setup("fit")
    options = config["model"]["init_args"]["optimizer"]["init_args"]
    rho, adaptive, eta = options["rho"], options["adaptive"], options.get("eta")
    name, arguments = options["base"]["class_path"].rsplit(".", 1)[1], options["base"]["init_args"]
    base = getattr(torch.optim, name)(network.parameters(), **arguments)
    schedule = torch.optim.lr_scheduler.StepLR(base, 2, 0.7)
    weights = list(network.parameters())

    def gradients(inputs, targets):
        network.zero_grad()
        for x, y in zip(inputs.split(8), targets.split(8), strict=True):
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed", cache_enabled=False):
                loss = cross_entropy(task(x), y) * (len(y) / len(targets))
            loss.backward()

    for _ in range(2):
        for inputs, targets in data.train_dataloader():
            gradients(inputs, targets)
            before = copy.deepcopy(network.state_dict())
            sizes = [w.detach().abs() + (eta or 0.01) if adaptive and w.ndim > 1 else 1.0 for w in weights]
            norm = torch.stack([(t * w.grad).norm() for t, w in zip(sizes, weights, strict=True)]).norm()
            with torch.no_grad():
                for t, w in zip(sizes, weights, strict=True):
                    w += rho * t * t * w.grad / norm
            gradients(inputs, targets)
            network.load_state_dict(before)  # weights and running statistics
            nn.utils.clip_grad_norm_(weights, 1.0)
            base.step()
            schedule.step()
    return network.state_dict()


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("options", [{}, {"adaptive": True, "rho": 0.5}], ids=["sam", "asam"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_run_is_a_loop_by_hand(runs, final, base, options, precision):
    recipe(runs, base, **options)["channels_last"] = True
    folder = runs.fit("run", f"--trainer.precision={precision}")
    found, expected = final(folder), by_hand(folder, precision)
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if precision == "32-true" else {"rtol": 1e-2, "atol": 1e-3}
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], **tolerance)
    assert int(found["features.1.num_batches_tracked"]) == 10  # 2 epochs of 2, 2 and 1 micro-batches


@pytest.mark.parametrize("base", BASES)
def test_rho_0_is_the_base_alone(runs, final, base):
    """Dropout included; and its checkpoint, curves and rate are those of the base."""
    optimizer = runs.values["model"]["init_args"]
    optimizer["optimizer"] = BASES[base]
    plain = runs.fit("plain")
    optimizer["optimizer"] = {"class_path": "bsgap.optim.SAM", "init_args": {"base": BASES[base]}}
    sam = runs.fit("sam", "--model.init_args.optimizer.init_args.rho=0")
    assert same(final(sam), final(plain))
    assert (sam / "metrics.csv").read_bytes() == (plain / "metrics.csv").read_bytes()
    other = runs.fit("other", "--model.init_args.optimizer.init_args.rho=0.1")
    assert not same(final(other), final(plain))


def test_scalars_switch_it(runs):
    recipe(runs, "sgd")
    path = runs.arguments("run")[1].removeprefix("--config=")
    place = "model.init_args.optimizer.init_args"
    values = {"rho": 0.5, "adaptive": True, "eta": 0.1, "base.init_args.lr": 0.3}
    config = cli.resolve(path, overrides={f"{place}.{name}": value for name, value in values.items()})
    task = cli.build(config["model"])
    optimizer = task.configure_optimizers()
    optimizer = optimizer["optimizer"]
    assert (optimizer.rho, optimizer.adaptive, optimizer.eta) == (0.5, True, 0.1)
    assert optimizer.base.param_groups[0]["lr"] == 0.3
