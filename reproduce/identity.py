"""Which settings decide a run's numbers, and the id that is hashed from them.

The identity is an allow-list over a resolved LightningCLI config. What decides the numbers is in: network, data and
their fingerprint, optimizer, schedule, budget, precision, micro-batch, seed, and the protocol version. What only
observes a run (curves, kept weights, logging) or runs it elsewhere (device, threads, folders) is not, so two figures,
two papers or two machines that need the same run get the same id.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from bsgap.errors import UsageError

PROTOCOL = 1
"""Version of the numerics. Raise it by hand when the same config gives other numbers: every run gets a new id."""

TRAINER = (
    "max_epochs",
    "max_steps",
    "min_epochs",
    "min_steps",
    "max_time",
    "limit_train_batches",
    "overfit_batches",
    "accumulate_grad_batches",
    "precision",
    "gradient_clip_val",
    "gradient_clip_algorithm",
)
"""The trainer's settings that decide numbers: budget, precision and clipping."""

_TRAINER_DEFAULTS: dict[str, Any] = {
    "max_steps": -1,
    "limit_train_batches": 1,
    "overfit_batches": 0,
    "accumulate_grad_batches": 1,
    "precision": "32-true",
}
_PRECISIONS = {"64": "64-true", "32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}
_DATA_PLACE = ("root", "download")  # where the data lie, not what they are: the fingerprint says what they are
_SCIENTIFIC = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")
_STORED_WEIGHTS = re.compile(r"(?:^|.*/)([0-9a-f]{16})/(?:weights/)?([^/]+?)(?:\.pt)?$")
_EXACT = 2**53  # integers up to here are exact as floats


def canonical(value: Any) -> Any:
    """`value` in plain JSON types, with one spelling for each meaning.

    Mappings lose their `None` values and get string keys, tuples become lists, 256.0 becomes 256, the strings that
    PyYAML makes of `1e-3` become numbers, and NaN and infinities become strings.

    Raises:
        UsageError: `value` holds something other than mappings, sequences, numbers, strings, booleans and paths.
    """
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if isinstance(value, str) and _SCIENTIFIC.fullmatch(value):
        value = float(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        return int(value) if value == int(value) and abs(value) <= _EXACT else value
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, PurePath):
        return value.as_posix()
    raise UsageError(f"expected a config of numbers, strings, lists and mappings, got {type(value).__name__}: {value}.")


def digest(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `value`: key order and number formatting do not matter.

    >>> digest({"lr": 1e-3, "batch": 256}) == digest({"batch": 256.0, "lr": 0.001, "rho": None})
    True
    """
    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def identity(config: Mapping[str, Any], fingerprint: str | None = None) -> dict[str, Any]:
    """What decides the numbers of the run of a resolved LightningCLI `config`.

    Args:
        config: The resolved config. `model` and `data` are `class_path` and `init_args`; `data.init_args` count
            without `root` and `download`, and without options that are 0, false or absent, so that a new option
            that is off by default changes no id. `model.init_args.initial_weights` counts as `<run id>/<name>`
            when it names the weights of a stored run, and else by the file's content.
        fingerprint: Fingerprint of the data (`bsgap.data.sources.fingerprint`).

    Raises:
        UsageError: `seed_everything` is no integer, a section is no mapping, or initial weights are missing.
    """
    seed = config.get("seed_everything")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise UsageError(f"seed_everything must be an integer, got {seed!r}. A stored run needs a seed of its own.")
    model = _section(config, "model")
    arguments = model.get("init_args", model)
    if "initial_weights" in arguments:
        arguments["initial_weights"] = initial_weights(arguments["initial_weights"])
    data = _section(config, "data")
    options = data.get("init_args", data)
    for name in [name for name, value in options.items() if name in _DATA_PLACE or value in (0, None)]:
        del options[name]
    found: dict[str, Any] = {
        "protocol": PROTOCOL,
        "seed_everything": seed,
        "model": model,
        "data": data,
        "fingerprint": fingerprint,
        "trainer": _trainer(_section(config, "trainer")),
        "stopping": _section(config, "stopping"),
        "rate": _rate(_section(config, "rate")),
        "decay": _decay(_section(config, "decay")),
        "ramp": _ramp(_section(config, "ramp")),
        "optimizer": _section(config, "optimizer"),
        "lr_scheduler": _section(config, "lr_scheduler"),
    }
    return {name: value for name, value in found.items() if value not in (None, {})}


def run_id(config: Mapping[str, Any], fingerprint: str | None) -> str:
    """Id of the run of `config` on the data of `fingerprint`: the first 16 hex digits of its identity's SHA-256."""
    return digest(identity(config, fingerprint))[:16]


def initial_weights(path: str | PurePath) -> str:
    """Machine-independent name of a file of initial weights.

    `<store>/runs/<run id>/weights/<name>.pt` becomes `<run id>/<name>`; any other file is named by its content.

    Raises:
        UsageError: It is neither the weights of a stored run nor a file.
    """
    text = PurePath(path).as_posix()
    if text.startswith("sha256:"):
        return text
    if stored := _STORED_WEIGHTS.fullmatch(text):
        return f"{stored[1]}/{stored[2]}"
    if not Path(path).is_file():
        raise UsageError(f"initial_weights: expected a file or the weights of a stored run, found nothing at {path}.")
    return f"sha256:{hashlib.sha256(Path(path).read_bytes()).hexdigest()}"


def _section(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = config.get(name)
    if section is None:
        return {}
    if not isinstance(section, Mapping):
        raise UsageError(f"{name} must be a mapping in a resolved config, got {type(section).__name__}.")
    return canonical(section)


def _rate(section: dict[str, Any]) -> dict[str, Any]:
    """The rule for the learning rate; the base rate is no rule, whatever else is set with it."""
    if section.get("scaling", "base") == "base" and not section.get("rule"):
        return {}
    if section.get("warmup") == "gradual" or not section.get("warmup_epochs"):  # what it is when nothing is said
        section.pop("warmup", None)
    return section


def _decay(section: dict[str, Any]) -> dict[str, Any]:
    """The decay of the rate, where there is one."""
    return {} if section.get("shape", "none") == "none" else section


def _ramp(section: dict[str, Any]) -> dict[str, Any]:
    """The growth of the batch, where there is one, with one name for each rule and without options of no effect."""
    if "factor" not in section and "sizes" not in section:
        return {}
    if section.get("rate") == "linear":
        section["rate"] = "keep-ratio"
    if "monitor" not in section:
        section = {name: value for name, value in section.items() if name not in ("mode", "patience", "min_delta")}
    return section


def _trainer(section: dict[str, Any]) -> dict[str, Any]:
    kept = {name: section[name] for name in TRAINER if name in section}
    if "precision" in kept:
        kept["precision"] = _PRECISIONS.get(str(kept["precision"]), kept["precision"])
    return {name: value for name, value in kept.items() if value != _TRAINER_DEFAULTS.get(name)}
