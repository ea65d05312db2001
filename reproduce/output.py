"""The files of one command: figures with the data behind them, tables, tidy runs, claims, and a manifest."""

import json
import traceback
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd

from bsgap.errors import UsageError
from bsgap.files import write_text
from bsgap.terminal import one_line
from reproduce import drawing
from reproduce.claims import Claim, write_claims
from reproduce.earlier import Earlier
from reproduce.machine import commit, machine, versions
from reproduce.planning import artifacts
from reproduce.runner import Runner
from reproduce.study import Artifact

ENDED = "trainings these ended"


def write(runner: Runner, folder: Path, jobs: int) -> tuple[list[Claim], dict[str, Any]]:
    """Draw and write everything that the results allow, into `folder` (`results/PAPER/SCALE`).

    What an earlier command wrote there and this one was not asked for (other figures, claims on other networks) stays
    listed.

    Returns:
        The claims of this command with their verdicts, and the manifest.
    """
    matplotlib.use("Agg")
    study, plan, results = runner.study, runner.plan, runner.results
    shown: list[dict[str, str]] = []
    not_drawn: list[str] = []
    for artifact in artifacts(study, plan):
        paths = None
        try:
            paths = _draw(artifact, runner, folder)
        except UsageError as error:  # the data do not allow it: one line says why
            runner.failures[f"drawing of {artifact.name}"] = one_line(error)
        except Exception:  # the others, and the verdicts, are still of use
            runner.failures[f"drawing of {artifact.name}"] = traceback.format_exc()
        if paths is None:
            not_drawn.append(artifact.name)
        else:
            about = {"name": artifact.name, "title": artifact.title, "caption": artifact.caption}
            shown.append(about | {kind: str(path.relative_to(folder)) for kind, path in paths.items()})
    earlier = Earlier(folder, study, plan)
    claims = study.claims(plan, results)
    runs = earlier.runs(_runs(runner))
    notes = [line for line in earlier.lines("notes", study.notes(plan)) if ENDED not in line]
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
        "seeds": earlier.seeds(),
        "runs": runs,
        "figures": earlier.entries("figures", [entry for entry in shown if "pdf" in entry]),
        "tables": earlier.entries("tables", [entry for entry in shown if "tex" in entry]),
        "claims_file": "claims.json",
        "not_run": earlier.lines("not_run", [f"{network}: {reason}" for network, reason in plan.not_run.items()]),
        "not_drawn": not_drawn,
        "notes": [*notes, *_endings(runs)],
    }
    write_text(folder / "runs.csv", earlier.curves(_curves(runner)).to_csv(index=False))
    write_claims(folder / "claims.json", earlier.claims(claims))
    write_text(folder / "manifest.json", json.dumps(manifest, indent=1))
    _write_failures(runner.failures, folder / "failures.txt")
    return claims, manifest


def _draw(artifact: Artifact, runner: Runner, folder: Path) -> dict[str, Path] | None:
    drawn = artifact.draw(runner.plan, runner.results)
    if drawn is None:
        return None
    picture, frame = drawn
    if isinstance(picture, drawing.Table):
        return drawing.save_table(picture, folder / "tables", artifact.name)
    return drawing.save(picture, folder / "figures", artifact.name, frame)


def _write_failures(failures: dict[str, str], path: Path) -> None:
    """The traceback of everything that failed in this command; no file when nothing did."""
    if failures:
        write_text(path, "\n\n".join(f"{label}\n{text.rstrip()}" for label, text in failures.items()) + "\n")
    else:
        path.unlink(missing_ok=True)


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


def _curves(runner: Runner) -> pd.DataFrame:
    """One tidy row a run, metric and step."""
    parts = []
    for key, trial in runner.all_trials.items():
        curves = runner.results.curves(trial)
        if curves is not None:
            parts.append(curves.assign(run=key, label=trial.label, seed=trial.seed))
    columns = ["run", "label", "seed", "step", "epoch", "examples", "metric", "value"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _endings(runs: list[dict[str, Any]]) -> list[str]:
    """How the trainings ended, counted."""
    if not runs:
        return []
    reasons = Counter(str(run["stop_reason"]) for run in runs)
    counts = ", ".join(f"{count} by “{reason}”" for reason, count in reasons.most_common())
    return [f"Of {len(runs)} {ENDED}: {counts}."]
