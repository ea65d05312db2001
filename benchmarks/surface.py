"""Time of a loss surface against one pass over the data for each of its points.

One pass a point is the plain loop: move the weights, `evaluate`, move back. That is what loss-landscape does, whose
loop also reads and prepares the data anew at each point, which is not counted here. `surface` passes several points
over each batch, on a processor with the shortcuts of `bsgap.measures.shortcuts`. Both are in float32, and their losses
are compared. The target is at most half the time.

    python benchmarks/surface.py [--examples 5000] [--points 5] [--rounds 3] [--threads 1] [--save]

prints a row for each network and size of the evaluation batches (5,000 is the default of `bsgap.data.ImageData`):
milliseconds for 1,000 examples at one point by either way, the least of the rounds, in which the two have their turns,
and the median ratio by the wall clock and by processor time.
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch
from machine import clocks, describe, device, save
from torch import nn

from bsgap.measures import evaluate, random_direction, surface
from bsgap.networks import VGG9, CifarResNet, FullyConnected

TARGET = 0.5
CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "ResNet-8": (lambda: CifarResNet(8), (3, 32, 32)),
    "VGG-9, a quarter as wide": (lambda: VGG9(width=0.25), (3, 32, 32)),
    "F1": (FullyConnected, (1, 28, 28)),
    "one hidden layer of 48": (lambda: FullyConnected((64,), hidden=1, width=48), (64,)),
}


def points_of(count: int) -> list[float]:
    """Steps with the model itself among them, so that both ways take as many passes."""
    return [2 * index / count for index in range(count)]


def one_pass_a_point(model: nn.Module, batches: list, direction: dict, alphas: list[float]) -> list[float]:
    """The plain loop."""
    start = {name: parameter.data for name, parameter in model.named_parameters()}
    losses = []
    for alpha in alphas:
        for name, parameter in model.named_parameters():
            parameter.data = start[name] + alpha * direction[name]
        losses.append(evaluate(model, batches).loss)
    for name, parameter in model.named_parameters():
        parameter.data = start[name]
    return losses


def timed(call: Callable[[], list[float]]) -> tuple[np.ndarray, list[float]]:
    """Wall and processor seconds, and the losses."""
    start = clocks()
    losses = call()
    return clocks() - start, losses


def case(name: str, batch: int, options: argparse.Namespace) -> dict[str, object]:
    """One network and size of batches."""
    make, shape = CASES[name]
    torch.manual_seed(0)
    model = make()
    with torch.no_grad():
        model.train()(torch.randn(200, *shape))  # running averages of their own
    model.to(device())
    inputs, targets = torch.randn(options.examples, *shape), torch.randint(0, 10, (options.examples,))
    batches = list(zip(inputs.to(device()).split(batch), targets.to(device()).split(batch), strict=True))
    direction, alphas = random_direction(model), points_of(options.points)
    rounds = []
    for turn in range(options.rounds + 1):
        plain, expected = timed(lambda: one_pass_a_point(model, batches, direction, alphas))
        fast, found = timed(lambda: surface(model, batches, direction, alphas).losses["train"])
        if not np.allclose(found, expected, rtol=1e-4):
            raise SystemExit(f"{name}: the losses differ, {found} and {expected}")
        if turn:  # the first is to warm up
            rounds.append((plain, fast))
    times = np.array(rounds)  # rounds, ways, clocks
    each = times.min(0) / options.examples / options.points * 1e6
    wall, processor = np.median(times[:, 1] / times[:, 0], axis=0).tolist()
    print(
        f"{name:26} batches of {batch:5}  one pass a point {each[0, 0]:8.1f}  surface {each[1, 0]:8.1f} ms for 1,000"
        f" examples  ratio {wall:.2f} (wall) {processor:.2f} (processor): {'met' if wall <= TARGET else 'missed'}",
        flush=True,
    )
    row = {"network": name, "batch": batch, "ms_one_pass": each[0, 0], "ms_surface": each[1, 0]}
    return row | {"ratio": wall, "processor_ratio": processor}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=5000)
    parser.add_argument("--points", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[5000, 500])
    parser.add_argument("--networks", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="keep the result as results/surface.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    where = describe()
    print(", ".join(f"{key} {value}" for key, value in where.items()), flush=True)
    rows = [case(name, batch, options) for name in options.networks for batch in options.batches]
    if options.save:
        asked = {"examples": options.examples, "points": options.points, "rounds": options.rounds}
        save("surface", where | asked | {"target": TARGET, "rows": rows})


if __name__ == "__main__":
    main()
