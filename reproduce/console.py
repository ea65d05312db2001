"""What the command prints: the plan before training, and at the end the verdicts and where everything is."""

import re
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reproduce.claims import Claim
from reproduce.engines.eta import duration
from reproduce.planning import artifacts
from reproduce.runner import Runner

COLOURS = {"reproduced": "green", "not reproduced": "red", "inconclusive": "yellow", "not run": "bright_black"}


def console() -> Console:
    """Where the commands print: as wide as the terminal, and wide enough for a claim a line in a log."""
    return Console(soft_wrap=True, width=None if sys.stdout.isatty() else 140)


def print_plan(console: Console, runner: Runner, workers: int) -> None:
    """Networks, figures with their runs, what is done already, and about how long the rest takes."""
    plan, results = runner.plan, runner.results
    console.print(f"[bold]{escape(runner.study.title)}[/] · scale {plan.scale}")
    for network in plan.networks:
        console.print(f"  {network}: {counted(plan.seeds[network], 'seed')}")
    for network, reason in plan.not_run.items():
        console.print(f"  {network}: not run ({escape(reason)})", style="bright_black")
    table = Table("figure or table", "runs", "further", box=None, pad_edge=False, header_style="bold")
    seen: set[str] = set()  # runs of the artifacts above; the last column counts those that come on top
    asked = 0
    for artifact in artifacts(runner.study, plan):
        ids = {results.id(trial) for trial in artifact.runs(plan, results)}
        table.add_row(f"{artifact.name}  {artifact.title}", str(len(ids)), str(len(ids - seen)))
        seen |= ids
        asked += len(ids)
    console.print(table)
    if asked > len(seen):
        console.print(f"{counted(len(seen), 'run')} shared between them; each on its own would need {asked}")
    console.print(_work(runner, workers))


def _work(runner: Runner, workers: int) -> str:
    pending, measures, given_up = runner.pending(), runner.pending_measures(), runner.given_up()
    done = [run for run in map(runner.results.run, runner.all_trials.values()) if run is not None]
    published = sum(run.published for run in done)
    line = f"{counted(len(runner.all_trials), 'run')}: {len(done)} done"
    line += f" ({published} of them published)" if published else ""
    line += f", {len(pending)} to train"
    if ended := len(runner.all_trials) - len(done) - len(pending) - len(given_up):
        line += f", {ended} without a start, as the run they start from ended before"
    if pending and any(artifact.then is not None for artifact in artifacts(runner.study, runner.plan)):
        line += ", and then those that follow from them"
    if given_up:
        line += f", {len(given_up)} failed earlier (--retry-failed trains them again)"
    if pending or measures:
        seconds = (sum(trial.seconds for trial in pending) + sum(measure.seconds for measure in measures)) / workers
        line += f"; about {duration(seconds)} on {counted(workers, 'worker')}"
        line += ", and measurements" if pending else " for measurements"
    return line


def print_claims(console: Console, claims: list[Claim]) -> None:
    """One line a claim, with its verdict."""
    if not claims:
        return
    table = Table("claim", "reported", "ours", "n", "verdict", header_style="bold", box=None, pad_edge=False)
    for claim in claims:
        verdict = f"[{COLOURS[claim.verdict]}]{claim.verdict}[/]"
        reported = "–" if claim.reported is None else escape(str(claim.reported))
        table.add_row(escape(claim.statement), reported, escape(_measured(claim)), str(claim.n_seeds), verdict)
    console.print(table)


def _measured(claim: Claim) -> str:
    if claim.measured is None:
        return "–"
    bounds = "" if claim.uncertainty is None else f" [{claim.uncertainty[0]:.3g}, {claim.uncertainty[1]:.3g}]"
    return f"{claim.measured:.3g}{bounds}"


def print_end(console: Console, runner: Runner, manifest: dict[str, Any], folder: Path, seconds: float) -> None:
    """What failed, what was written and where."""
    for line in dict.fromkeys([*runner.results.store.warnings, *runner.warnings]):
        console.print(f"[yellow]{escape(line)}[/]")
    for label, text in runner.failures.items():
        console.print(f"[red]failed[/] {escape(f'{label}: {last_line(text)}')}")
    if runner.failures:
        console.print(f"tracebacks are in {escape(str(folder / 'failures.txt'))}")
    drawn = [
        entry["name"] for entry in manifest["figures"] + manifest["tables"] if entry["name"] in runner.plan.artifacts
    ]
    written = f"{counted(len(drawn), 'figure or table', 'figures and tables')}, claims.json and runs.csv"
    console.print(f"{written} in {escape(str(folder))} ({duration(seconds)})")
    lacking = [name for name in manifest["not_drawn"] if f"drawing of {name}" not in runner.failures]
    if lacking:
        console.print(f"not drawn, for lack of runs: {', '.join(lacking)}")


def last_line(text: str) -> str:
    """The error of a failed job's text in one line: the end of its traceback, without what the worker printed."""
    lines = [line for line in text.partition("\nLast output of the worker:")[0].splitlines() if line.strip()]
    return re.sub(r"^bsgap\.errors\.\w+: ", "", lines[-1].strip()) if lines else "no message"


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
