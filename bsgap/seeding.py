"""One seed decides everything, through generators of their own.

Initial weights, data order and augmentation each draw from a generator derived from the run's seed and a name, so that
a small-batch and a large-batch run of one seed start from the same weights, whatever else either of them draws.
"""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

import numpy as np
import torch

from bsgap.errors import UsageError


def derive(seed: int, *names: str | int) -> int:
    """Child seed of `seed` for the purpose spelled by `names`: stable over machines and versions, in [0, 2^63).

    >>> derive(0, "weights") == derive(0, "weights") != derive(1, "weights")
    True
    """
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *names: str | int) -> torch.Generator:
    """CPU generator seeded with `derive(seed, *names)`."""
    return torch.Generator().manual_seed(derive(seed, *names))


def global_seed() -> int:
    """The seed that `seed_everything` (Lightning's, or the command line's) set last; 0 when none was set."""
    text = os.environ.get("PL_GLOBAL_SEED", "0")
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"PL_GLOBAL_SEED must be an integer, got {text!r}. Unset it or set another seed.") from None


def random_state() -> dict[str, Any]:
    """State of Python's, NumPy's, torch's and CUDA's generators, as tensors and integers.

    Nothing in it needs unpickling of classes, so a checkpoint that holds it loads with `weights_only=True`.
    """
    version, internal, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    state: dict[str, Any] = {
        "python": {"version": version, "state": torch.tensor(internal, dtype=torch.int64), "gauss": gauss},
        "numpy": {
            "kind": str(kind),
            "keys": torch.from_numpy(np.asarray(keys).astype(np.int64)),
            "position": int(position),
            "has_gauss": int(has_gauss),
            "gauss": float(cached),
        },
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Restore what `random_state` returned."""
    python, numpy = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["state"].tolist()), python["gauss"]))
    keys = numpy["keys"].numpy().astype(np.uint32)
    np.random.set_state((numpy["kind"], keys, numpy["position"], numpy["has_gauss"], numpy["gauss"]))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


@contextmanager
def preserved_random_state() -> Iterator[None]:
    """Whatever is drawn inside, the caller's random state is afterwards as it was."""
    state = random_state()
    try:
        yield
    finally:
        set_random_state(state)
