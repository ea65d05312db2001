"""What a run was computed on and with: recorded beside its numbers, never hashed into its id.

No host name, no user and no path: these records are published.
"""

import functools
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "pytorch-lightning", "torchmetrics", "numpy", "scipy", "scikit-learn", "bsgap")


@functools.cache
def machine() -> dict[str, Any]:
    """Processor, usable cores, memory (GiB), accelerator and operating system of this machine."""
    return {
        "processor": _processor(),
        "cores": _cores(),
        "memory_gib": _memory(),
        "accelerator": _accelerator(),
        "os": f"{platform.system()} {platform.machine()}",
    }


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide numbers."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def commit() -> str | None:
    """Commit of the checkout that this package runs from, with `-dirty` when it is altered; None when there is none."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():  # an installed package inside somebody else's repository is not that repository
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None


def threads() -> int | None:
    """CPU threads that torch uses in this process; None when torch is not loaded."""
    torch = sys.modules.get("torch")
    return None if torch is None else int(torch.get_num_threads())


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _accelerator() -> str | None:
    import torch  # not at the top: listing a store must not wait seconds for it

    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        name = torch.cuda.get_device_name(0)
        return name if count == 1 else f"{count} x {name}"
    if torch.backends.mps.is_available():
        return "Apple GPU"
    return None
