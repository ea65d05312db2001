"""The command `bsgap`: Lightning's command line, with what a reproducible run needs.

`bsgap fit --config RECIPE.yaml` trains any LightningModule on any LightningDataModule. The groups `rate`, `decay`,
`ramp`, `curves`, `stopping`, `keep`, `distance`, `resume` and `wandb` set this package's callbacks; everything else is
Lightning's own. The folder `--trainer.default_root_dir` then holds `config.yaml`, `metrics.csv`, `outcome.json` and the
kept `weights/`; until the run is finished it holds `last.ckpt`, from which the same command continues.
"""

import hashlib
import json
import os
import sys
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from bsgap.callbacks import (
    Curves,
    KeepWeights,
    Outcome,
    RateDecay,
    ResumePoint,
    ScaledRate,
    StoppingRule,
    WeightDistance,
)
from bsgap.callbacks import resume as resume_point
from bsgap.callbacks.outcome import SUMMARY
from bsgap.callbacks.ramp import NEITHER, OptionalRamp
from bsgap.callbacks.wandb import WeightsAndBiases
from bsgap.errors import BadCheckpoint, Interrupted, UsageError
from bsgap.files import check_writable, write_text
from bsgap.signals import stoppable
from bsgap.tasks.common import ManualTask
from bsgap.terminal import INTERRUPTED, one_line, quiet, usage_error

CONFIG = "config.yaml"

# What does not decide a run's numbers, so that a checkpoint may be continued with other settings of it.
OBSERVERS = (
    "config", "ckpt_path", "weights_only", "threads", "resume", "keep", "curves", "distance", "wandb", "verbose",
)  # fmt: skip
PLACES = {"root": None, "download": False}  # options of data: where they lie is not what they are
TRAINER = ("max_epochs", "max_steps", "precision", "limit_train_batches", "overfit_batches")

_COMMANDS = ("fit", "validate", "test")


class BsgapCLI(LightningCLI):
    """LightningCLI with this package's callbacks, a fixed number of threads, and runs that continue themselves.

    Args:
        args: The arguments, without the name of the command; by default those of the process.
        callbacks: Callbacks besides those of the recipe.

    Raises:
        UsageError: An option cannot be honoured, or the folder holds a finished run or that of another recipe.
        ArgumentError: The arguments are not valid.
        Interrupted: `bsgap.callbacks.resume.should_stop` asked for it, and the state is saved.
    """

    _built: dict[str, Any] | None = None  # what setup_parser makes

    def __init__(self, args: Sequence[str] | None = None, callbacks: Sequence[Callback] = ()):
        quiet()
        super().__init__(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=None,  # it aborts where a config.yaml exists
            seed_everything_default=0,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            parser_kwargs={
                "exit_on_error": False,
                "prog": "bsgap",
                "allow_abbrev": False,
                **{command: {"allow_abbrev": False} for command in _COMMANDS},
            },
            trainer_defaults={
                "logger": False,
                "enable_model_summary": False,
                "num_sanity_val_steps": 0,
                "callbacks": list(callbacks),
            },
            args=list(args) if args is not None else None,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Lightning's commands without `predict`, for which the data of this package have no loader."""
        return {name: skipped for name, skipped in LightningCLI.subcommands().items() if name in _COMMANDS}

    def setup_parser(self, *args: Any, **kwargs: Any) -> None:
        """Build the parsers once a process: they take longer to build than a short run to start."""
        if BsgapCLI._built is None:
            known = set(vars(self))
            super().setup_parser(*args, **kwargs)
            BsgapCLI._built = {name: value for name, value in vars(self).items() if name not in known}
        vars(self).update(BsgapCLI._built)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse without Lightning's warning about arguments given from Python."""
        self.config = parser.parse_args(args)
        typed = [str(argument) for argument in (sys.argv[1:] if args is None else args)]
        ramp = (self.config.get(self.config["subcommand"]) or {}).get("ramp") or {}
        if any(argument.startswith("--ramp.") for argument in typed) and not (ramp.get("factor") or ramp.get("sizes")):
            raise UsageError(
                NEITHER
            )  # a recipe may state the rest of a ramp without having one; who types it wants one

    def _parse_ckpt_path(self) -> None:
        """Say in one line what is wrong with a checkpoint before Lightning looks into it."""
        path = self.config[self.config["subcommand"]].get("ckpt_path")
        if path is not None and ("/" in path or "." in path):
            _check_checkpoint(Path(path))
        super()._parse_ckpt_path()

    def _set_seed(self) -> None:
        """Seed everything; a seed that torch cannot take is a usage error."""
        try:
            super()._set_seed()
        except ValueError as error:
            raise UsageError(f"--seed_everything: {error}") from None

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add this package's options."""
        parser.add_argument(
            "--threads", type=int | None, default=None, help="CPU threads; different counts give different bits"
        )
        for name, callback in {
            "rate": ScaledRate,
            "decay": RateDecay,
            "ramp": OptionalRamp,
            "curves": Curves,
            "stopping": StoppingRule,
            "keep": KeepWeights,
            "distance": WeightDistance,
            "wandb": WeightsAndBiases,
            "outcome": Outcome,
            "resume": ResumePoint,
        }.items():
            parser.add_lightning_class_args(callback, name)
        parser.set_defaults({"distance.per_doubling": None})  # on only where a recipe asks for it

    def before_instantiate_classes(self) -> None:
        """Set the threads, choose the folder, and continue from its resume point if there is one."""
        config = self.config[self.subcommand]
        if config.threads is not None:
            if config.threads < 1:
                raise UsageError(f"--threads must be at least 1, got {config.threads}.")
            torch.set_num_threads(config.threads)
        if self.subcommand != "fit":
            return
        recipe = digest(config)
        config.resume.recipe = recipe
        if config.trainer.default_root_dir is None:
            config.trainer.default_root_dir = str(Path("bsgap-runs") / recipe)
        root = Path(config.trainer.default_root_dir)
        if (root / SUMMARY).exists():
            raise UsageError(
                f"{root} holds a finished run. Its curves are in {root / 'metrics.csv'};"
                " choose another --trainer.default_root_dir to train again."
            )
        check_writable(root)
        point = root / resume_point.NAME
        if config.ckpt_path is None and point.exists():
            _check_checkpoint(point)
            config.ckpt_path = str(point)
        config.weights_only = True

    def instantiate_classes(self) -> None:
        """Build task, data and trainer; their own errors come out as they are.

        Raises:
            UsageError: An option is not valid.
        """
        try:
            super().instantiate_classes()
        except ValueError as error:
            raise usage_error(error) or error from None

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the trainer.

        Raises:
            UsageError: Lightning refuses one of its options.
        """
        try:
            return super().instantiate_trainer(**kwargs)
        except (ValueError, MisconfigurationException) as error:
            raise UsageError(one_line(error)) from None

    def before_fit(self) -> None:
        """Store the resolved configuration with the run, and give it to W&B.

        Raises:
            UsageError: The trainer is to do what a task of this package does itself.
        """
        if isinstance(self.model, ManualTask):
            _check_trainer(self.trainer)
        config, root = self.config["fit"], Path(self.trainer.default_root_dir)
        stored = root / CONFIG
        logged = config.wandb.mode != "disabled"
        given = [Path(os.fspath(path)).resolve() for path in config.config or ()]
        if not self.trainer.is_global_zero or (stored.resolve() in given and not logged):
            return
        resolved = _resolved(self.parser, self.config)
        if stored.resolve() not in given:
            write_text(stored, yaml.safe_dump(resolved, sort_keys=False))
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, WeightsAndBiases):
                callback.config = resolved

    def after_fit(self) -> None:
        """Say where the results are."""
        root = Path(self.trainer.default_root_dir)
        if (root / SUMMARY).exists() and self.trainer.progress_bar_callback is not None:
            print(f"{root / SUMMARY}: {json.loads((root / SUMMARY).read_text())['status']}")


def _check_trainer(trainer: Any) -> None:
    """Refuse what Lightning refuses of manual optimisation, with the option that is meant.

    Raises:
        UsageError: Gradients are to be accumulated or clipped by the trainer.
    """
    if trainer.accumulate_grad_batches != 1:
        raise UsageError(
            f"--trainer.accumulate_grad_batches must be 1, got {trainer.accumulate_grad_batches}: a step takes the"
            " whole batch. Set --data.batch_size to the batch that is meant, and --model.init_args.micro_batch to what"
            " goes through the network at once."
        )
    if trainer.gradient_clip_val:
        raise UsageError(
            "--trainer.gradient_clip_val is not for these tasks, which clip the gradient of the whole batch themselves."
            f" Set --model.init_args.gradient_clip {trainer.gradient_clip_val:g} instead."
        )


def _check_checkpoint(path: Path) -> None:
    if "://" in str(path):  # Lightning knows how to read from other places than disks
        return
    if not path.exists():
        raise UsageError(f"--ckpt_path: there is no file {path}.")
    if not zipfile.is_zipfile(path):
        raise BadCheckpoint(f"{path} is damaged: it is no checkpoint, or only a part of one. Remove it to start anew.")


def digest(config: Namespace) -> str:
    """Twelve hexadecimal digits of what decides a run's numbers, for the name of its folder and its resume point."""
    values = config.as_dict()
    kept = {key: value for key, value in values.items() if key not in OBSERVERS and key != "trainer"}
    kept["trainer"] = {key: values["trainer"].get(key) for key in TRAINER}
    options = (kept.get("data") or {}).get("init_args") or {}
    options.update({name: default for name, default in PLACES.items() if name in options})
    text = json.dumps(kept, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def resolve(*configs: Path, overrides: dict[str, Any] | None = None, absent: bool = False) -> dict[str, Any]:
    """The whole configuration that `bsgap fit` would run with: recipe, overlays, overrides and defaults.

    Args:
        configs: YAML files, later ones over earlier ones.
        overrides: Dotted option -> value, over the files.
        absent: Whether options that are not given, and have no default, are in it too, as None.

    Raises:
        UsageError: A file or an option is not valid.
    """
    arguments = ["fit"]
    for path in configs:
        arguments += ["--config", str(path)]
    for key, value in (overrides or {}).items():
        arguments += [f"--{key}", yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()]
    if BsgapCLI._built is None:
        _build_parsers()
    assert BsgapCLI._built is not None
    parser = BsgapCLI._built["parser"]
    try:
        config = parser.parse_args(arguments)
    except ArgumentError as error:
        raise UsageError(one_line(error)) from None
    name = "skip_unset" if hasattr(parser, "instantiate") else "skip_none"  # the former from jsonargparse 4.49 on
    return yaml.safe_load(parser.dump(config, skip_validation=True, **({name: False} if absent else {})))["fit"]


def _resolved(parser: LightningArgumentParser, config: Namespace) -> dict[str, Any]:
    """The configuration of a run, to be stored: without its folder and what else belongs to one sitting only."""
    values = yaml.safe_load(parser.dump(config, skip_validation=True))["fit"]
    for section, name in ((values, "config"), (values, "ckpt_path"), (values, "weights_only")):
        section.pop(name, None)
    values["trainer"].pop("default_root_dir", None)
    values["resume"].pop("recipe", None)
    return values


def _build_parsers() -> None:
    class ParserOnly(BsgapCLI):  # LightningCLI does everything in its constructor: leave it after the first part
        def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
            raise InterruptedError

    with suppress(InterruptedError):
        ParserOnly([])


def build(model: dict[str, Any]) -> Any:
    """Build the LightningModule of a resolved configuration's `model` section."""
    return _built_from(LightningModule, model)


def build_data(data: dict[str, Any]) -> Any:
    """Build the LightningDataModule of a resolved configuration's `data` section."""
    return _built_from(LightningDataModule, data)


def _built_from(kind: type, section: dict[str, Any]) -> Any:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(kind, "section", fail_untyped=False)
    parsed = parser.parse_object({"section": section})
    instantiate = getattr(parser, "instantiate", parser.instantiate_classes)  # its name from jsonargparse 4.49 on
    return instantiate(parsed).section


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of `bsgap`: returns the exit code: 0 done, 2 bad usage, 130 interrupted.

    A diverged run is done: its `outcome.json` says so.
    """
    args = list(sys.argv[1:] if args is None else args)
    try:
        with stoppable():
            BsgapCLI(args)
    except (UsageError, ArgumentError, MisconfigurationException) as error:
        print(f"bsgap: error: {one_line(error)}", file=sys.stderr)
        return 2
    except (Interrupted, KeyboardInterrupt) as error:
        print(f"bsgap: interrupted: {one_line(error)}", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
