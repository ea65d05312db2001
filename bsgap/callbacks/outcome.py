"""What a run leaves behind: its curves and a summary of how it ended."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from bsgap.callbacks.curves import COLUMNS, Curves
from bsgap.callbacks.keep import KeepWeights
from bsgap.callbacks.resume import ResumePoint, remove
from bsgap.callbacks.stopping import StoppingRule
from bsgap.callbacks.weight_distance import WeightDistance
from bsgap.files import write_text

CURVES, SUMMARY = "metrics.csv", "outcome.json"


class Outcome(pl.Callback):
    """Write `metrics.csv` and `outcome.json` under the trainer's root folder when training ends.

    `metrics.csv` has one row a step and metric, those of `Curves` and `WeightDistance`: step, epoch, examples, metric,
    value. `outcome.json` has `status` (finished or diverged), `stop_reason`, steps, epochs (a broken one counts),
    examples, seconds (over all sittings), the weights kept with their step and loss, the data used, and the last value
    of each metric.
    """

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write both files, then drop the resume point."""
        if not trainer.is_global_zero:
            return
        found = {type(callback): callback for callback in trainer.callbacks}  # type: ignore[attr-defined]
        curves, stopping = found.get(Curves), found.get(StoppingRule)
        keep, resume = found.get(KeepWeights), found.get(ResumePoint)
        data: Any = getattr(trainer, "datamodule", None)
        root = Path(trainer.default_root_dir)
        summary: dict[str, Any] = {
            "status": "diverged" if stopping and stopping.diverged else "finished",
            "stop_reason": stopping.reason if stopping else "budget",
            "steps": trainer.global_step,
            "epochs": trainer.current_epoch,
            "examples": curves.examples if curves and curves.rows else None,
            "seconds": round(resume.seconds, 3) if resume else None,
            "kept": keep.kept if keep else {},
            "data": data.describe() if hasattr(data, "describe") else {},
        }
        rows = [row for kind in (Curves, WeightDistance) if kind in found for row in found[kind].rows]
        rows.sort(key=lambda row: row[0])  # stable: at one step in the order of the two
        if rows:
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(rows)
            write_text(root / CURVES, text.getvalue())
            summary["last"] = {name: value for *_, name, value in rows}
        write_text(root / SUMMARY, json.dumps(summary, indent=1, default=str))
        remove(root)
