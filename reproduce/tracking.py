"""What W&B gets when a study is done: measurements of every run, and the study's figures and verdicts."""

import warnings
from hashlib import sha256
from pathlib import Path
from typing import Any

from bsgap.callbacks.wandb import start
from reproduce.claims import Claim
from reproduce.planning import artifacts
from reproduce.runner import Runner


def track(runner: Runner, claims: list[Claim], folder: Path, manifest: dict[str, Any]) -> None:
    """Add measurements to the W&B runs of the trials, and write one W&B run for the study, with figures as images.

    A failure is said once and is no failure of the command. Published runs are not logged again.
    """
    options = runner.wandb
    if options["mode"] == "disabled":
        return
    try:
        for key, values in _measured(runner).items():
            run = _start(options, key, {})
            if run is None:
                return
            run.summary.update(values)
            run.finish()
        _track_study(runner, claims, folder, manifest)
    except Exception as error:  # W&B raises many kinds; none may fail a finished study
        warnings.warn(f"W&B is left out: {type(error).__name__}: {error}", stacklevel=2)


def _start(options: dict[str, Any], identity: str, config: dict[str, Any], name: str | None = None) -> Any:
    return start(
        mode=options["mode"], folder=options["folder"], identity=identity, project=options["project"],
        group=options["group"], tags=options.get("tags"), config=config, name=name,
    )  # fmt: skip


def _measured(runner: Runner) -> dict[str, dict[str, float]]:
    """Run id -> name of each scalar measured on it -> value."""
    found: dict[str, dict[str, float]] = {}
    for artifact in artifacts(runner.study, runner.plan):
        for measure in artifact.measures(runner.plan, runner.results):
            run = runner.results.run(measure.of[0][0])
            result = runner.results.measured(measure)
            if len({trial for trial, _ in measure.of}) > 1 or run is None or run.published or result is None:
                continue
            options = " ".join(str(value) for _, value in measure.options if value is not None)
            label = f"{measure.kind}/{measure.of[-1][1]}" + (f"/{options}" if options else "")
            values = found.setdefault(run.id, {})
            for name in ("value", "distance", "train_accuracy", "test_accuracy", "train_loss", "test_loss"):
                if name in result:
                    values[f"{label}/{name}"] = result[name]
    return found


def _track_study(runner: Runner, claims: list[Claim], folder: Path, manifest: dict[str, Any]) -> None:
    plan = runner.plan
    text = f"{plan.paper} {plan.scale} {sorted(runner.all_trials)}"
    options = runner.wandb | {"tags": [plan.scale, "study"]}
    config = {"paper": plan.paper, "scale": plan.scale, "seeds": dict(plan.seeds), "figures": list(plan.artifacts)}
    run = _start(options, sha256(text.encode()).hexdigest()[:16], config, f"{plan.paper} {plan.scale}")
    if run is None:
        return
    import wandb

    columns: list[str | int] = ["claim", "reported", "measured", "n_seeds", "rule", "verdict"]
    rows = [[c.statement, str(c.reported), str(c.measured), c.n_seeds, c.rule, c.verdict] for c in claims]
    images = {entry["name"]: wandb.Image(str(folder / entry["png"])) for entry in manifest["figures"]}
    run.log(images | {"claims": wandb.Table(columns=columns, data=rows)})
    run.finish()
