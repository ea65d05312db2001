"""What W&B gets when a study is done: measurements of every run, and the study's figures and verdicts.

Each W&B run of a trial has the trial's id, and its curves are sent while it trains (`bsgap.callbacks.wandb`). What is
sent from here is remembered in `wandb/sent.json`, so that the same command, given again, sends nothing again.
"""

import json
import warnings
from hashlib import sha256
from pathlib import Path
from typing import Any

from bsgap.files import write_text
from reproduce.claims import Claim
from reproduce.planning import artifacts
from reproduce.runner import Runner

# Scalar of a measurement -> what its name in the summary ends with.
SCALARS = {"value": "", "distance": ""} | {
    f"{split}_{name}": f"/{split}_{name}" for split in ("train", "test") for name in ("loss", "accuracy")
}


def track(runner: Runner, claims: list[Claim], folder: Path, manifest: dict[str, Any]) -> str | None:
    """Add measurements to the W&B runs of the trials, and write one W&B run for the study, with figures as images.

    Published runs are not logged again. A failure of W&B is no failure of the command.

    Args:
        runner: The plan, its results and the options of `--wandb`.
        claims: The verdicts.
        folder: Where the study's figures are.
        manifest: What is there.

    Returns:
        What went wrong, in one line; None when nothing did.
    """
    if runner.wandb["mode"] == "disabled":
        return None
    sent = _Sent(Path(runner.wandb["folder"]) / "wandb" / "sent.json", runner.wandb["mode"])
    try:
        for key, values in _measured(runner).items():
            if news := sent.news(key, values):
                trial = runner.all_trials[key]
                run = _start(runner, key, tags=[trial.scale, trial.recipe])
                run.summary.update(news)
                run.finish()
                sent.add(key, news)
        _track_study(runner, claims, folder, manifest, sent)
    except Exception as error:  # W&B raises many kinds; none may fail a finished study
        return " ".join(f"W&B is left out: {error or type(error).__name__}".split())
    return None


def usable_mode(mode: str) -> tuple[str, str | None]:
    """`mode` as it can be had, and what is wrong with it: without an account at hand, `online` becomes `offline`."""
    if mode != "online":
        return mode, None
    try:
        import wandb

        wandb.login(timeout=60)  # asks on a terminal
    except Exception as error:  # as in `track`
        reason = " ".join(str(error).split())
        return "offline", f"W&B stays offline ({reason}). `wandb login` once, and `wandb sync` sends what is kept."
    return mode, None


class _Sent:
    """What W&B has been given: mode and W&B id -> name -> value."""

    def __init__(self, path: Path, mode: str):
        self.path, self.mode = path, mode
        try:
            self.known: dict[str, dict[str, Any]] = dict(json.loads(path.read_text()))
        except (OSError, ValueError):  # none yet, or damaged: everything is sent again
            self.known = {}

    def news(self, identity: str, values: dict[str, Any]) -> dict[str, Any]:
        """Those of `values` that W&B does not have."""
        known = self.known.get(f"{self.mode} {identity}", {})
        return {name: value for name, value in values.items() if name not in known or known[name] != value}

    def add(self, identity: str, values: dict[str, Any]) -> None:
        self.known.setdefault(f"{self.mode} {identity}", {}).update(values)
        write_text(self.path, json.dumps(self.known, indent=1))


def _start(runner: Runner, identity: str, **more: Any) -> Any:
    from bsgap.callbacks.wandb import start  # Lightning takes seconds

    options = {"tags": None, "config": {}} | runner.wandb | more
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = start(identity=identity, **options)
    if run is None:
        raise ConnectionError(caught[-1].message if caught else "it did not start")
    return run


def _measured(runner: Runner) -> dict[str, dict[str, float]]:
    """Run id -> name of each scalar measured on it -> value."""
    found: dict[str, dict[str, float]] = {}
    for artifact in artifacts(runner.study, runner.plan):
        for measure in artifact.measures(runner.plan, runner.results):
            run = runner.results.run(measure.of[0][0])
            result = runner.results.measured(measure)
            if len({trial for trial, _ in measure.of}) > 1 or run is None or run.published or result is None:
                continue
            options = ", ".join(f"{name}={value}" for name, value in measure.options if value is not None)
            label = f"{measure.kind}/{measure.of[-1][1]}" + (f" ({options})" if options else "")
            values = found.setdefault(run.id, {})
            values |= {f"{label}{suffix}": result[name] for name, suffix in SCALARS.items() if name in result}
    return found


def _track_study(runner: Runner, claims: list[Claim], folder: Path, manifest: dict[str, Any], sent: _Sent) -> None:
    plan = runner.plan
    identity = sha256(f"{plan.paper} {plan.scale} {sorted(runner.all_trials)}".encode()).hexdigest()[:16]
    rows = [[c.statement, str(c.reported), str(c.measured), c.n_seeds, c.rule, c.verdict] for c in claims]
    drawn = {entry["name"]: (folder / entry["csv"]).read_text() for entry in manifest["figures"] + manifest["tables"]}
    content = {"content": sha256(json.dumps([rows, drawn]).encode()).hexdigest()}
    if not sent.news(identity, content):
        return
    config = {"paper": plan.paper, "scale": plan.scale, "seeds": dict(plan.seeds), "figures": list(plan.artifacts)}
    run = _start(runner, identity, tags=[plan.scale, "study"], config=config, name=f"{plan.paper} {plan.scale}")
    import wandb

    columns: list[str | int] = ["claim", "reported", "measured", "n_seeds", "rule", "verdict"]
    images = {entry["name"]: wandb.Image(str(folder / entry["png"])) for entry in manifest["figures"]}
    run.log(images | {"claims": wandb.Table(columns=columns, data=rows)})
    run.finish()
    sent.add(identity, content)
