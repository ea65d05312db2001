"""Price of micro-batches: seconds an example against the largest batch that fits in memory as a whole.

A batch of m is one optimizer step on the mean gradient of m examples; what does not fit goes through the network in
micro-batches. The target is that a step on a batch too large for the memory costs at most 1.10 times as much an example
as one on the largest batch that fits. Smaller micro-batches are listed too.

    python benchmarks/micro_batches.py [--depth 34] [--memory 24] [--largest N] [--threads 1] [--save]

prints a row for each way to take a step: batch, micro-batch, milliseconds an example (median over rounds in which each
way has its turn), and the ratio to the whole batch by the wall clock and by processor time. The step is the one of the
tasks (`bsgap.tasks.step`): SGD with momentum, channels last, bfloat16 where there is a GPU and float32 elsewhere.
"""

import argparse
import functools
import re
from pathlib import Path

import numpy as np
import torch
from machine import clocks, describe, device, save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bsgap.networks import CifarResNet, ResNet
from bsgap.tasks.step import mean_gradient, optimizer_step

TARGET = 1.10


class Steps:
    """Optimizer steps of a residual network on random images of 32 x 32 pixels."""

    def __init__(self, depth: int):
        self.place = device()
        torch.manual_seed(0)
        network = ResNet(depth) if depth in (18, 34) else CifarResNet(depth)
        self.network = network.to(self.place, memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.01, momentum=0.9, fused=True)

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy, in bfloat16 on a GPU."""
        with torch.autocast(self.place.type, torch.bfloat16, enabled=self.place.type == "cuda"):
            return cross_entropy(self.network(inputs.contiguous(memory_format=torch.channels_last)), targets)

    def seconds(self, batch: int, micro: int | None = None) -> np.ndarray:
        """Wall and processor time of one step on `batch` examples, in micro-batches of `micro`."""
        inputs = torch.randn(batch, 3, 32, 32, device=self.place)
        targets = torch.randint(0, 10, (batch,), device=self.place)
        parameters: list[nn.Parameter] = list(self.network.parameters())
        gradient = functools.partial(
            mean_gradient, self.loss, inputs, targets, micro_batch=micro, backward=torch.Tensor.backward
        )
        start = clocks()
        optimizer_step(self.optimizer, parameters, gradient)
        return clocks() - start

    def fits(self, batch: int, memory: float) -> bool:
        """Whether a step on a whole batch stays within `memory` GiB."""
        if self.place.type == "cuda":
            try:
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
                self.seconds(batch)
            except torch.cuda.OutOfMemoryError:
                return False
            return torch.cuda.max_memory_reserved() <= memory * 2**30
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        self.seconds(batch)
        peak = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())
        assert peak
        return int(peak[1]) * 1024 <= memory * 2**30


def largest(steps: Steps, memory: float) -> int:
    """Largest power of two that fits as a whole."""
    batch = 64
    while batch < 2**14 and steps.fits(2 * batch, memory):
        batch *= 2
    return batch


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=34, help="18 or 34, or 6n + 2 for the narrow networks")
    parser.add_argument("--memory", type=float, default=24.0, help="GiB that a step may take")
    parser.add_argument("--largest", type=int, help="take this as the largest batch that fits")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="keep the result as results/micro_batches.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    steps = Steps(options.depth)
    whole = options.largest or largest(steps, options.memory)
    ways = [(whole, whole), (4 * whole, whole)] + [(whole, whole // k) for k in (2, 4, 8) if whole >= k]
    for way in ways:
        steps.seconds(*way)  # warm up
    rounds = np.array([[steps.seconds(*way) / way[0] for way in ways] for _ in range(options.rounds)])
    each, ratios = np.median(rounds[..., 0], 0), np.median(rounds / rounds[:, :1], 0)
    where = describe()
    print(", ".join(f"{key} {value}" for key, value in where.items()))
    print(f"ResNet-{options.depth}; the largest batch that fits is taken to be {whole}")
    rows = []
    for (batch, micro), seconds, (wall, processor) in zip(ways, each.tolist(), ratios.tolist(), strict=True):
        print(
            f"batch {batch:6}  micro-batch {micro:6}  {1e3 * seconds:8.3f} ms an example  ratio {wall:.3f} (wall)"
            f" {processor:.3f} (processor)"
        )
        row = {"batch": batch, "micro_batch": micro, "ms_per_example": 1e3 * seconds}
        rows.append(row | {"ratio": wall, "processor_ratio": processor})
    price = rows[1]["ratio"]
    print(f"price {price:.3f}, target at most {TARGET}: {'met' if price <= TARGET else 'missed'}")
    if options.save:
        result = {"depth": options.depth, "memory_gib": options.memory, "price": price, "target": TARGET}
        save("micro_batches", where | result | {"rows": rows})


if __name__ == "__main__":
    main()
