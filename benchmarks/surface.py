"""Time of a loss surface against one pass over the data for each of its points.

One pass a point is the plain loop: move the weights, take the mean loss over the data, move back. It is timed twice:
as loss-landscape and the tutorials have it, where each pass reads the images through a `DataLoader` that prepares them
one by one, and with all batches prepared beforehand, which leaves but the network. `surface` passes several points over
each prepared batch, on a processor with the shortcuts of `bsgap.measures.shortcuts`. All are in float32, and their
losses are compared. The target is at most half the time of one pass a point.

    python benchmarks/surface.py [--examples 5000] [--alphas 3] [--betas 2] [--rounds 3] [--threads 1] [--save]

prints a row for each network and size of the evaluation batches (5,000 is the default of `bsgap.data.ImageData`):
milliseconds for 1,000 examples at one point by each way, the least of the rounds, in which they have their turns, and
the median ratios of `surface` to the two by the wall clock.
"""

import argparse
from collections.abc import Callable, Iterable
from itertools import chain, product

import numpy as np
import torch
from machine import clocks, describe, device, save
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from bsgap.measures import evaluate, random_direction, surface
from bsgap.networks import VGG9, CifarResNet, FullyConnected

TARGET = 0.5
Grid = tuple[list[float], list[float]]
CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "ResNet-8": (lambda: CifarResNet(8), (3, 32, 32)),
    "VGG-9, a quarter as wide": (lambda: VGG9(width=0.25), (3, 32, 32)),
    "F1": (FullyConnected, (1, 28, 28)),
    "one hidden layer of 48": (lambda: FullyConnected((64,), hidden=1, width=48), (64,)),
}


def steps_of(count: int) -> list[float]:
    """Steps with the model itself among them, so that all ways take as many passes."""
    return [2 * index / count for index in range(count)]


def one_pass_a_point(model: nn.Module, batches: Iterable, directions: list, grid: Grid) -> list[float]:
    """The plain loop."""
    start = {name: parameter.data for name, parameter in model.named_parameters()}
    first, second = directions
    losses = []
    for alpha, beta in product(*grid):
        for name, parameter in model.named_parameters():
            parameter.data = start[name] + alpha * first[name] + beta * second[name]
        losses.append(evaluate(model, batches).loss)
    for name, parameter in model.named_parameters():
        parameter.data = start[name]
    return losses


class Prepared(Dataset):
    """Images of bytes that are normalised one by one as they are read."""

    def __init__(self, images: Tensor, labels: Tensor):
        self.images, self.labels = images.numpy(), labels.tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images[index].astype(np.float32) / 255
        return torch.from_numpy((image - 0.5) / 0.25), self.labels[index]


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
    data = Prepared(torch.randint(0, 256, (options.examples, *shape)).byte(), torch.randint(0, 10, (options.examples,)))
    loader = DataLoader(data, batch_size=batch)
    batches = [(inputs.to(device()), targets.to(device())) for inputs, targets in loader]
    with torch.no_grad():
        model.train()(batches[0][0][:200].cpu())  # running averages of their own
    model.to(device())
    directions = [random_direction(model, seed=seed) for seed in (0, 1)]
    grid = steps_of(options.alphas), steps_of(options.betas)
    ways: dict[str, Callable[[], list[float]]] = {
        "loader": lambda: one_pass_a_point(model, loader, directions, grid),
        "prepared": lambda: one_pass_a_point(model, batches, directions, grid),
        "surface": lambda: list(chain.from_iterable(surface(model, batches, directions, *grid).losses["train"])),
    }
    rounds = []
    for turn in range(options.rounds + 1):
        found = {way: timed(call) for way, call in ways.items()}
        for way, (_, losses) in found.items():
            if not np.allclose(losses, found["prepared"][1], rtol=1e-4):
                raise SystemExit(f"{name}: the losses differ, {losses} by {way} and {found['prepared'][1]}")
        if turn:  # the first is to warm up
            rounds.append([found[way][0] for way in ways])
    times = np.array(rounds)  # rounds, ways, clocks
    each = times.min(0)[:, 0] / options.examples / (options.alphas * options.betas) * 1e6
    ratios = np.median(times[:, 2:, 0] / times[:, :2, 0], axis=0).tolist()
    print(
        f"{name:26} batches of {batch:5}  one pass a point {each[0]:7.1f} (loader) {each[1]:7.1f} (prepared)  surface"
        f" {each[2]:7.1f} ms for 1,000 examples  ratio {ratios[0]:.2f} {_verdict(ratios[0])}, to the network alone"
        f" {ratios[1]:.2f} {_verdict(ratios[1])}",
        flush=True,
    )
    row = {"network": name, "batch": batch} | {f"ms_{way}": ms for way, ms in zip(ways, each.tolist(), strict=True)}
    return row | {"ratio": ratios[0], "ratio_to_prepared": ratios[1]}


def _verdict(ratio: float) -> str:
    return "met" if ratio <= TARGET else "missed"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=5000)
    parser.add_argument("--alphas", type=int, default=3, help="points along the first direction")
    parser.add_argument("--betas", type=int, default=2, help="points along the second")
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
        asked = {name: getattr(options, name) for name in ("examples", "alphas", "betas", "rounds")}
        save("surface", where | asked | {"target": TARGET, "rows": rows})


if __name__ == "__main__":
    main()
