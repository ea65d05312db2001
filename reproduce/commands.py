"""What each subcommand of `reproduce` does."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from bsgap.errors import UsageError
from bsgap.terminal import INTERRUPTED
from reproduce.console import console as new_console
from reproduce.console import counted, print_claims, print_end, print_plan
from reproduce.imports import import_runs
from reproduce.output import write
from reproduce.papers import TITLES
from reproduce.papers import study as study_of
from reproduce.planning import check_data, make_plan, trials, with_data_at_hand
from reproduce.progress import Progress
from reproduce.published import publish_runs
from reproduce.results import Results
from reproduce.runner import Runner
from reproduce.store import Store
from reproduce.study import SCALES, Plan, Study
from reproduce.tracking import track, usable_mode


def reproduce_paper(
    paper: str, *, scale: str, figure: list[str], network: list[str], seeds: int | None, jobs: int | None, engine: str,
    wandb: str, dry_run: bool, fresh: bool, retry_failed: bool, download: bool, out: str, data_root: str | None,
) -> int:  # fmt: skip
    """Run what is missing, then draw, judge and write everything; see `reproduce PAPER --help`."""
    console = new_console()
    study = study_of(paper)
    plan = make_plan(study, scale, figures=figure, networks=network, seeds=seeds)
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs must be at least 1, got {jobs}.")
    if data_root is not None:
        os.environ["BSGAP_DATA"] = str(Path(data_root).resolve())  # the workers read it
    if not dry_run:
        _check_writable(Path(out))
        if download:
            for name in {study.data(network, scale) for network in plan.networks}:
                check_data(name, data_root, download=True)
    store = Store(Path(out), [] if fresh else published_folders())
    results = Results(store, data_root)
    plan = with_data_at_hand(study, plan, results)
    mode, problem = (wandb, None) if dry_run else usable_mode(wandb)
    tracking = {"mode": mode, "project": "bsgap", "group": paper, "folder": str(Path(out).resolve())}
    runner = Runner(study, plan, results, tracking, retry_failed)
    threads = max(results.config(trial)["threads"] or 1 for trial in runner.all_trials.values())
    workers = jobs or max(1, _cores() // threads)
    print_plan(console, runner, workers)
    if dry_run:
        return 0
    started = time.monotonic()
    interrupted = False
    if runner.pending() or runner.pending_measures():
        interrupted = runner.run(workers, threads, Progress(workers)).interrupted
    folder = Path(out) / paper / scale
    claims, manifest = write(runner, folder, workers)
    if not interrupted:
        problem = problem or track(runner, claims, folder, manifest)
    print_claims(console, claims)
    print_end(console, runner, manifest, folder, time.monotonic() - started)
    if problem:
        console.print(f"[yellow]{escape(problem)}[/]")
    if interrupted:
        console.print("interrupted: nothing is lost, the same command continues")
        return INTERRUPTED
    return 1 if runner.failures or runner.given_up() else 0


def _check_writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {out} cannot be written to ({error.strerror}). Choose another folder.") from None
    if not os.access(out, os.W_OK | os.X_OK):
        raise UsageError(f"--out {out} cannot be written to (permission denied). Choose another folder.")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def list_papers() -> int:
    """Print the papers, their figures and scales."""
    console = new_console()
    for name, text in TITLES.items():
        study = study_of(name)
        console.print(f"[bold]reproduce {name}[/]  {text}")
        for artifact in study.artifacts:
            console.print(f"  {artifact.name:9} {artifact.title}")
        for scale in SCALES:
            networks = ", ".join(f"{net} ({counted(count, 'seed')})" for net, count in study.networks[scale].items())
            console.print(f"  --scale {scale:7} {networks}")
    return 0


def status(paper: str | None, out: str, data_root: str | None) -> int:
    """Print how many runs of each paper and scale are done, running, failed or missing."""
    console = new_console()
    store = Store(Path(out), published_folders())
    results = Results(store, data_root)
    table = Table("paper", "scale", "runs", "done", "published", "running", "interrupted", "failed", "to do", box=None)
    failures = []
    for name in [paper] if paper else TITLES:
        for scale in SCALES:
            study = study_of(name)
            plan = make_plan(study, scale)
            found = [results.id(trial) for trial in trials(study, plan, results)]
            states = [store.status(key) for key in found]
            count = {state: states.count(state) for state in ("running", "interrupted", "failed", "absent")}
            done = [key for key in found if store.is_done(key)]
            published = sum(1 for key in done if store.run(key).published)
            cells = [len(found), len(done), published, *count.values()]
            table.add_row(name, scale, *(str(cell) for cell in cells))
            failures += [key for key, state in zip(found, states, strict=True) if state == "failed"]
    console.print(table)
    for key in failures:
        console.print(f"failed: {key}, see {store.path(key) / 'error.txt'}")
    for warning in store.warnings:
        console.print(f"[yellow]{escape(warning)}[/]")
    return 0


def take(folder: str, out: str, data_root: str | None) -> int:
    """Import finished runs of another store."""
    console = new_console()
    if not Path(folder).is_dir():
        raise UsageError(f"no folder {folder}: give the results folder of another store.")
    found = import_runs(Store(Path(out)), Path(folder))
    counts = f"{len(found.imported)} runs imported, {len(found.skipped)} known already"
    console.print(f"{counts}, {len(found.refused)} refused")
    for key, reason in found.refused.items():
        console.print(f"[yellow]refused[/] {key}: {escape(reason)}")
    return 1 if found.refused else 0


def publish(paper: str, scale: str, to: str, out: str, data_root: str | None) -> int:
    """Write compact copies of a paper's finished runs and their measurements."""
    console = new_console()
    study = study_of(paper)
    plan = make_plan(study, scale)
    if not (Path(out) / "runs").is_dir():
        raise UsageError(f"--out {out} holds no runs. Give the folder of results whose runs are to be published.")
    store = Store(Path(out), [Path(to)] if Path(to).is_dir() else [])
    results = Results(store, data_root)
    done = [results.id(trial) for trial in trials(study, plan, results) if results.run(trial) is not None]
    written = publish_runs(store, done, Path(to))
    console.print(f"{len(done)} finished runs, {len(written)} of them new or with new measurements, in {to}")
    return 0


def report(out: str) -> int:
    """Build the report from the results on disk, the published ones drawn first where they are not there yet."""
    from reproduce.report import build_report

    _check_writable(Path(out))
    _draw_published(Path(out))
    return build_report(Path(out))


def _draw_published(out: Path) -> None:
    """Draw what the published runs of a clone allow, for every paper and scale that has none drawn here."""
    folders = published_folders()
    if not folders:
        return
    store = Store(out, folders)
    results = Results(store)
    for name, scale in product(TITLES, SCALES):
        folder = out / name / scale
        if (folder / "manifest.json").exists():
            continue
        plan = _with_runs(study_of(name), make_plan(study_of(name), scale), results)
        if plan.networks:
            write(Runner(study_of(name), plan, results, {}), folder, jobs=0)


def _with_runs(study: Study, plan: Plan, results: Results) -> Plan:
    """The plan without the networks of which no run is published."""

    def published(network: str) -> bool:
        found = (results.run(trial) for trial in trials(study, replace(plan, networks=(network,)), results))
        return any(run is not None and run.published for run in found)

    kept = {network: plan.seeds[network] for network in plan.networks if published(network)}
    lacking = {network: "none of its runs is published" for network in plan.networks if network not in kept}
    return replace(plan, networks=tuple(kept), seeds=kept, not_run={**plan.not_run, **lacking})


def published_folders() -> list[Path]:
    """The published results of a checkout."""
    place = Path(__file__).parent.parent / "paper" / "results"
    return [place] if (place / "runs").is_dir() else []


COMMANDS: dict[str, Callable[..., int]] = {
    "list": list_papers,
    "status": status,
    "import": take,
    "publish": publish,
    "report": report,
}
