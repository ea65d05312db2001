"""Curves and configuration to Weights & Biases; whatever goes wrong there, the run goes on."""

import warnings
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl

from bsgap.callbacks.curves import Curves, Point

Mode = Literal["online", "offline", "disabled"]


def start(
    *, mode: Mode, folder: str | Path, identity: str | None, project: str, group: str | None, tags: list[str] | None,
    config: dict[str, Any] | None = None, name: str | None = None,
) -> Any:  # fmt: skip
    """Begin, or continue, the W&B run `identity`; None when W&B cannot be reached or refuses.

    System statistics, console capture, code and requirements are not collected: they cost more than a short run, and
    say more about a machine than its owner may wish.
    """
    if mode == "disabled":
        return None
    try:
        import wandb

        settings = wandb.Settings(
            console="off", silent=True, disable_git=True, disable_code=True, x_disable_stats=True, x_disable_meta=True,
            x_disable_machine_info=True, x_save_requirements=False, init_timeout=60, host="", username="",
        )  # fmt: skip
        Path(folder).mkdir(parents=True, exist_ok=True)
        return wandb.init(
            project=project, group=group, tags=tags, id=identity, name=name, resume="allow" if identity else None,
            mode=mode, dir=str(folder), config=config, settings=settings, reinit="create_new",
        )  # fmt: skip
    except Exception as error:  # W&B raises many kinds; none may end a run
        warnings.warn(f"W&B is left out of this run: {type(error).__name__}: {error}", stacklevel=2)
        return None


class WeightsAndBiases(pl.Callback):
    """Log every evaluation of `Curves`, and the configuration, to Weights & Biases.

    Args:
        mode: `online`, `offline` (files that `wandb sync` sends later) or `disabled`.
        project: Project that the run belongs to.
        group: Group, such as the paper.
        tags: Tags, such as scale and network.
        id: The run's own id: a resumed run continues the W&B run of that id.
        folder: Where W&B keeps its files; absent means the trainer's root folder.

    Attributes:
        config: What W&B shows as the run's configuration, besides the data: the command puts the resolved recipe here.
    """

    def __init__(
        self,
        mode: Mode = "disabled",
        project: str = "bsgap",
        group: str | None = None,
        tags: list[str] | None = None,
        id: str | None = None,
        folder: str | None = None,
    ):
        self.mode, self.project, self.group, self.tags = mode, project, group, tags
        self.id, self.folder = id, folder
        self.config: dict[str, Any] | None = None
        self._run: Any = None
        self._sent = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Begin or continue the W&B run, on the first process only."""
        if stage != "fit" or not trainer.is_global_zero or self.mode == "disabled":
            return
        recipe = self.config
        if recipe is None:
            recipe = {"module": type(pl_module).__name__, "max_epochs": trainer.max_epochs, **dict(pl_module.hparams)}
        data: Any = getattr(trainer, "datamodule", None)
        found = {"describe": data.describe()} if hasattr(data, "describe") else {}
        self._run = start(
            mode=self.mode, folder=self.folder or trainer.default_root_dir, identity=self.id, project=self.project,
            group=self.group, tags=self.tags, config={**recipe, "data": {**_mapping(recipe.get("data")), **found}},
        )  # fmt: skip

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Offline, W&B cannot continue a run: the files of a resumed one begin with the curves of before."""
        if self._run is None or self._sent or self.mode != "offline":
            return
        rows = [row for callback in trainer.callbacks if isinstance(callback, Curves) for row in callback.rows]  # type: ignore[attr-defined]
        for (step, epoch, examples), values in groupby(rows, key=lambda row: row[:3]):
            self._send({name: value for *_, name, value in values}, step, epoch, examples)

    def on_evaluation(self, trainer: pl.Trainer, pl_module: pl.LightningModule, point: Point) -> None:
        """Send one point of the curves."""
        self._send(point.values, point.step, point.epoch, point.examples)

    def _send(self, values: dict[str, float], step: int, epoch: float, examples: int) -> None:
        if self._run is not None:
            self._sent = True
            self._guarded(self._run.log, {**values, "epoch": epoch, "examples": examples}, step=step)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """End the W&B run."""
        self._finish(0)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """End the W&B run as one that did not finish; Lightning calls no teardown then."""
        self._finish(1)

    def _finish(self, exit_code: int) -> None:
        if self._run is not None:
            self._guarded(self._run.finish, exit_code=exit_code)
            self._run = None

    def _guarded(self, call: Any, *args: Any, **kwargs: Any) -> None:
        try:
            call(*args, **kwargs)
        except Exception as error:  # as in start
            self._run = None
            warnings.warn(f"W&B is left out from here on: {type(error).__name__}: {error}", stacklevel=2)


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}
