"""The command `bsgap`: Lightning's command line, with what a reproducible run needs.

`bsgap fit --config RECIPE.yaml` trains any LightningModule on any LightningDataModule. The groups `curves`, `stopping`,
`keep`, `resume` and `wandb` set this package's callbacks; everything else is Lightning's own.
"""

import hashlib
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace
from pytorch_lightning import Callback, LightningDataModule, LightningModule
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

from bsgap.callbacks import Curves, KeepWeights, Outcome, ResumePoint, StoppingRule
from bsgap.callbacks import resume as resume_point
from bsgap.callbacks.outcome import SUMMARY
from bsgap.callbacks.wandb import WeightsAndBiases
from bsgap.errors import Interrupted, UsageError

# What does not decide a run's numbers, so that a checkpoint may be continued with other settings of it.
OBSERVERS = ("config", "ckpt_path", "weights_only", "threads", "resume", "keep", "curves", "wandb", "verbose")
TRAINER = ("max_epochs", "max_steps", "precision", "limit_train_batches", "overfit_batches")


class BsgapCLI(LightningCLI):
    """LightningCLI with this package's callbacks, a fixed number of threads, and runs that continue themselves."""

    _built: dict[str, Any] | None = None  # what setup_parser makes

    def __init__(self, args: Sequence[str] | None = None, callbacks: Sequence[Callback] = ()):
        super().__init__(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=None,  # it aborts where a config.yaml exists
            seed_everything_default=0,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            parser_kwargs={"exit_on_error": False, "prog": "bsgap"},
            trainer_defaults={
                "logger": False,
                "enable_model_summary": False,
                "num_sanity_val_steps": 0,
                "callbacks": list(callbacks),
            },
            args=list(args) if args is not None else None,
        )

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

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add this package's options."""
        parser.add_argument("--threads", type=int | None, default=None, help="CPU threads; different counts give different bits")
        for name, callback in {
            "curves": Curves,
            "stopping": StoppingRule,
            "keep": KeepWeights,
            "wandb": WeightsAndBiases,
            "outcome": Outcome,
            "resume": ResumePoint,
        }.items():
            parser.add_lightning_class_args(callback, name)

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
        point = root / resume_point.NAME
        if config.ckpt_path is None and point.exists():
            config.ckpt_path = str(point)
        config.weights_only = True

    def after_fit(self) -> None:
        """Say where the results are."""
        root = Path(self.trainer.default_root_dir)
        if (root / SUMMARY).exists() and self.trainer.progress_bar_callback is not None:
            print(f"{root / SUMMARY}: {json.loads((root / SUMMARY).read_text())['status']}")


def digest(config: Namespace) -> str:
    """Twelve hexadecimal digits of what decides a run's numbers, for the name of its folder and its resume point."""
    values = config.as_dict()
    kept = {key: value for key, value in values.items() if key not in OBSERVERS and key != "trainer"}
    kept["trainer"] = {key: values["trainer"].get(key) for key in TRAINER}
    text = json.dumps(kept, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def resolve(*configs: Path, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
    """The whole configuration that `bsgap fit` would run with: recipe, overlays, overrides and defaults.

    Args:
        configs: YAML files, later ones over earlier ones.
        overrides: Dotted option -> value, over the files.

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
        raise UsageError(_one_line(error)) from None
    return yaml.safe_load(parser.dump(config, skip_validation=True))["fit"]


def _build_parsers() -> None:
    class ParserOnly(BsgapCLI):
        def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
            raise InterruptedError

    try:
        ParserOnly([])
    except InterruptedError:
        pass


def build(model: dict[str, Any]) -> tuple[Any, None]:
    """Build the LightningModule of a resolved configuration's `model` section."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(LightningModule, "model", fail_untyped=False)
    parsed = parser.parse_object({"model": model})
    return parser.instantiate_classes(parsed).model, None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _install_signal_handlers() -> None:
    """The first Ctrl-C or SIGTERM asks the run to save and stop; a second Ctrl-C ends it at once."""
    asked: list[int] = []

    def ask(number: int, frame: Any) -> None:
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.append(number)

    signal.signal(signal.SIGINT, ask)
    signal.signal(signal.SIGTERM, ask)
    resume_point.should_stop = lambda: bool(asked)


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of `bsgap`: returns the exit code: 0 done, 2 bad usage, 130 interrupted."""
    args = list(sys.argv[1:] if args is None else args)
    _install_signal_handlers()
    try:
        BsgapCLI(args)
    except (UsageError, ArgumentError) as error:
        print(f"bsgap: error: {_one_line(error)}", file=sys.stderr)
        return 2
    except (Interrupted, KeyboardInterrupt) as error:
        print(f"bsgap: interrupted: {_one_line(error)}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
