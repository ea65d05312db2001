"""Where a benchmark ran, and where its result is kept."""

import json
import platform
import time
from pathlib import Path

import numpy as np
import pytorch_lightning
import torch

RESULTS = Path(__file__).parent / "results"


def device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def clocks() -> np.ndarray:
    """Wall clock and processor time in seconds, once the device has done all that it was given.

    Other processes disturb the processor time less; on a GPU only the wall clock counts.
    """
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return np.array([time.perf_counter(), time.process_time()])


def describe() -> dict[str, object]:
    """The machine's class and the versions, without a name or a path."""
    return {
        "machine": torch.cuda.get_device_name() if torch.cuda.is_available() else processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": pytorch_lightning.__version__,
    }


def processor() -> str:
    """Model of the processor and the vector instructions that torch uses."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.processor() or platform.machine()
    return f"{model}, {torch.backends.cpu.get_cpu_capability()}"


def save(name: str, result: dict[str, object]) -> None:
    """Keep a result beside those of other benchmarks, as results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"wrote results/{path.name}")
