"""Cost of one full-space sharpness in passes over the data, and its memory in vectors of the size of the model.

Network F1 of Keskar et al. (784 → 5×512 → 10, 1.5 million weights) on data of the size of MNIST. The target is that
where a pass takes 2 s or more a measurement costs at most 1.3 times its passes, and at most 80 vectors in float32.

    python benchmarks/sharpness_cost.py [--examples 60000] [--threads 1]

prints one row a maximiser: seconds of a plain forward-backward pass (median), passes, seconds of the measurement,
their ratio by the wall clock and by processor time (which other processes disturb less), and the peak of memory.
"""

import argparse
import os
import re
import statistics
import sys
import time
from pathlib import Path

THREADS = sys.argv[sys.argv.index("--threads") + 1] if "--threads" in sys.argv else "1"
os.environ.setdefault("OPENBLAS_NUM_THREADS", THREADS)  # read when numpy and scipy are imported

import torch  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402

from bsgap.measures import keskar_sharpness  # noqa: E402
from bsgap.networks import FullyConnected  # noqa: E402


def clocks() -> tuple[float, float]:
    """Wall clock and processor time, in seconds."""
    return time.perf_counter(), time.process_time()


def resident(key: str) -> int:
    """Bytes of resident memory: `VmRSS` now, `VmHWM` at the peak."""
    return 1024 * int(re.search(rf"{key}:\s*(\d+)", Path("/proc/self/status").read_text())[1])


def one_pass(model: torch.nn.Module, batches: list) -> tuple[float, float]:
    """Wall and processor seconds of a plain pass with gradient, as in a training loop without its steps."""
    wall, processor = clocks()
    model.zero_grad()
    for inputs, targets in batches:
        cross_entropy(model(inputs), targets).backward()
    after = clocks()
    return after[0] - wall, after[1] - processor


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=60_000)
    parser.add_argument("--batch-size", type=int, default=5_000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = FullyConnected().eval()
    inputs = torch.rand(options.examples, 1, 28, 28)
    targets = torch.randint(0, 10, (options.examples,))
    batches = list(zip(inputs.split(options.batch_size), targets.split(options.batch_size), strict=True))
    size = sum(p.numel() for p in model.parameters())
    print(f"{size:,} weights, {options.examples:,} examples, {options.threads} thread(s), torch {torch.__version__}")
    one_pass(model, batches)  # warm up
    for maximiser in ("lbfgsb", "sign"):
        passes = [one_pass(model, batches) for _ in range(3)]
        model.zero_grad()
        before = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        wall, processor = clocks()
        found = keskar_sharpness(model, batches, maximiser=maximiser)
        after = clocks()
        passes += [one_pass(model, batches) for _ in range(3)]
        plain = [statistics.median(values) for values in zip(*passes, strict=True)]
        total, used = after[0] - wall, after[1] - processor
        print(
            f"{maximiser:7} pass {plain[0]:.2f} s  passes {found.evaluations}  total {total:.2f} s  cost / passes"
            f" {total / found.evaluations / plain[0]:.2f} (wall) {used / found.evaluations / plain[1]:.2f} (processor)"
            f"  peak {(resident('VmHWM') - before) / (4 * size):.0f} vectors, activations included"
        )


if __name__ == "__main__":
    main()
