"""The files of one command: figures with the data behind them, tables, tidy runs, claims, and a manifest."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd

from bsgap.files import write_text
from reproduce import drawing
from reproduce.claims import Claim, write_claims
from reproduce.machine import commit, machine, versions
from reproduce.planning import artifacts
from reproduce.runner import Runner


def write(runner: Runner, folder: Path, jobs: int) -> tuple[list[Claim], dict[str, Any]]:
    """Draw and write everything that the results allow, into `folder` (`results/PAPER/SCALE`).

    Returns:
        The claims with their verdicts, and the manifest.
    """
    matplotlib.use("Agg")
    study, plan, results = runner.study, runner.plan, runner.results
    figures: list[dict[str, str]] = []
    tables: list[dict[str, str]] = []
    not_drawn: list[str] = []
    for artifact in artifacts(study, plan):
        drawn = artifact.draw(plan, results)
        if drawn is None:
            not_drawn.append(artifact.name)
            continue
        picture, frame = drawn
        about = {"name": artifact.name, "title": artifact.title, "caption": artifact.caption}
        if isinstance(picture, drawing.Table):
            paths = drawing.save_table(picture, folder / "tables", artifact.name)
            tables.append(about | {kind: str(path.relative_to(folder)) for kind, path in paths.items()})
        else:
            paths = drawing.save(picture, folder / "figures", artifact.name, frame)
            figures.append(about | {kind: str(path.relative_to(folder)) for kind, path in paths.items()})
    claims = study.claims(plan, results)
    write_claims(folder / "claims.json", claims)
    _write_runs(runner, folder / "runs.csv")
    manifest = {
        "paper": study.name,
        "title": study.title,
        "citation": study.citation,
        "scale": plan.scale,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
        "jobs": jobs,
        "seeds": dict(plan.seeds),
        "runs": _runs(runner),
        "figures": figures,
        "tables": tables,
        "claims_file": "claims.json",
        "not_run": [f"{network}: {reason}" for network, reason in plan.not_run.items()],
        "not_drawn": not_drawn,
        "notes": study.notes(plan),
    }
    write_text(folder / "manifest.json", json.dumps(manifest, indent=1))
    return claims, manifest


def _runs(runner: Runner) -> list[dict[str, Any]]:
    rows = []
    for key, trial in runner.all_trials.items():
        run = runner.results.run(trial)
        if run is not None:
            rows.append(
                {
                    "id": key, "label": trial.label, "status": run.status, "published": run.published,
                    "seconds": run.record.get("seconds"), "machine": run.record.get("machine"),
                    "stop_reason": run.outcome.get("stop_reason"), "epochs": run.outcome.get("epochs"),
                    "commit": run.record.get("commit"),
                }
            )  # fmt: skip
    return rows


def _write_runs(runner: Runner, path: Path) -> None:
    """One tidy row a run, metric and step."""
    parts = []
    for key, trial in runner.all_trials.items():
        curves = runner.results.curves(trial)
        if curves is not None:
            parts.append(curves.assign(run=key, label=trial.label, seed=trial.seed))
    columns = ["run", "label", "seed", "step", "epoch", "examples", "metric", "value"]
    frame = pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
    write_text(path, frame.to_csv(index=False))
