"""Reading a pickle that was downloaded, without running what it says.

A pickle may call any function. CIFAR's need a few names, to build NumPy arrays; everything else is refused.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from bsgap.data.files import corrupt


def _latin1(text: str, encoding: str) -> bytes:
    """What protocol 2 of Python 3 calls to rebuild bytes; no other codec, some of which decompress."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes text as {encoding}")
    return text.encode("latin1")


# Their modules are spelled differently in NumPy 1 and 2.
_RECONSTRUCT = np.zeros(1, dtype=np.uint8).__reduce__()[0]
_FROM_BUFFER = np.zeros(1, dtype=np.uint8).__reduce_ex__(5)[0]
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
}


class _Refused(pickle.UnpicklingError):
    """The pickle asks for something that no data file needs."""


class _Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _Refused(f"it asks for {module}.{name}") from None


def read_pickle(path: Path, source: str) -> dict[str, Any]:
    """Dictionary in a pickle of plain values and NumPy arrays, its keys as text.

    Args:
        path: The file, written by Python 2 or 3.
        source: Where it comes from, for the message.

    Raises:
        CorruptData: Truncated, not a pickle, not a dictionary, or one that asks for anything but plain values and
            arrays; such a request is not carried out.
    """
    try:
        with open(path, "rb") as file:
            value = _Restricted(file, encoding="bytes").load()
    except _Refused as error:
        raise corrupt(path, f"is refused as unsafe: {error}, which a data file does not need", source) from None
    except Exception as error:  # a damaged pickle raises almost anything: EOFError, KeyError, MemoryError, ...
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise corrupt(path, f"is truncated or not a pickle ({reason})", source) from None
    if not isinstance(value, dict):
        raise corrupt(path, f"holds a {type(value).__name__}, expected a dictionary", source)
    return {key.decode("latin1") if isinstance(key, bytes) else str(key): item for key, item in value.items()}
