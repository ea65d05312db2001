"""The figures of surlemont: the frame that each draws."""

import math

import pandas as pd
from matplotlib.figure import Figure

from reproduce import drawing
from reproduce.papers.surlemont.choice import LAST, SEED, rates, score
from reproduce.papers.surlemont.controls import longer as longer_trials
from reproduce.papers.surlemont.controls import longer_cells, ratios
from reproduce.papers.surlemont.problems import METHODS, PLAIN, Cell, Setting, cells, problem, run
from reproduce.papers.surlemont.relation import best_rates
from reproduce.papers.surlemont.trials import ADAPTIVE, BALL, BOX, TOP, budgets, ends, paths, settled
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[Figure, pd.DataFrame]
SHARPNESS = {
    BOX: "Sharpness φ in the box (%, log)", BALL: "Rise in the ball (nats, log)",
    ADAPTIVE: "Rise in the adaptive ball (nats, log)", TOP: "Top Hessian eigenvalue (log)",
}  # fmt: skip
TITLES = {BOX: "box", BALL: "ball", ADAPTIVE: "adaptive ball", TOP: "eigenvalue"}


def footer(
    plan: Plan, results: Results, shown: list[str], *notes: str, seeds: int | str | None = None
) -> drawing.Footer:
    """Where the numbers of a figure come from; `seeds` are those that are drawn, where not all have been run."""
    known = [problem(plan, name) for name in shown]
    counts = {plan.seeds[name] for name in shown}
    several = ", ".join(f"{name}: {plan.seeds[name]}" for name in shown)
    return drawing.Footer(
        plan.scale, "; ".join(dict.fromkeys(each.data for each in known)),
        seeds or (counts.pop() if len(counts) == 1 else several),
        " and ".join(dict.fromkeys(each.statistics for each in known)), results.machine_class,
        list(plan.not_run), notes,
    )  # fmt: skip


def _footer(plan: Plan, results: Results, found: pd.DataFrame, *notes: str) -> drawing.Footer:
    """That of a figure of final runs, which says how many of the seeds and cells are there so far."""
    shown = [str(name) for name in found["optimizer"].unique()]
    there = len(found[["optimizer", "method", "batch"]].drop_duplicates())
    planned = sum(cell.network in shown for cell in cells(plan))
    lacking = [f"{there} of {planned} cells so far"] * (there < planned)
    seeds = _seeds(plan, found, ["optimizer", "method", "batch"])
    return footer(plan, results, shown, *notes, *lacking, seeds=seeds)


def _seeds(plan: Plan, found: pd.DataFrame, of: list[str]) -> int | str | None:
    """How many seeds each point has, and of how many where some are missing; None where all that are planned are."""
    counts = found.groupby(of)["seed"].nunique()
    planned = {plan.seeds[str(name)] for name in found["optimizer"].unique()}
    if set(counts) == planned or len(planned) > 1:
        return None
    several = f"{counts.min()} to {counts.max()}" if counts.min() < counts.max() else f"{counts.max()}"
    return f"{several} of {planned.pop()} seeds"


def accuracy(plan: Plan, results: Results) -> Drawn | None:
    """Test accuracy at the end against batch size: a line a method, a panel an optimizer."""
    found = ends(plan, results)
    if found.empty:
        return None
    frame = found.assign(panel=found["optimizer"], arm=found["method"].map(METHODS), value=found["accuracy"])
    note = _footer(plan, results, found, f"mean of the last {LAST} evaluations of a run")
    return drawing.against_size(frame, note, y_label="Test accuracy (%)", worse="down"), frame


def budget(plan: Plan, results: Results) -> Drawn | None:
    """Test accuracy at the largest batch, by epochs and by passes with gradient, of which SAM takes two an epoch."""
    parts, shown = [], []
    words = {"epochs": "equal epochs", "gradients": "equal gradients"}
    for cell, trials in settled(plan, results).items():
        if cell.batch != problem(plan, cell.network).batches[-1]:
            continue
        for seed, trial in enumerate(trials):
            found = budgets(plan, results, cell, trial)
            if found is None:
                continue
            shown.append(cell.network)
            for unit, word in words.items():
                place = {"panel": f"{cell.network}, {word}", "arm": METHODS[cell.method], "seed": seed}
                parts.append(pd.DataFrame({
                    **place, "spent": found[unit], "value": found["accuracy"], "diverged": results.diverged(trial),
                }))  # fmt: skip
    if not parts:
        return None
    frame = pd.concat(parts, ignore_index=True)
    labels = {
        panel: "Epochs" if panel.endswith(words["epochs"]) else "Passes over the data with gradient"
        for panel in frame["panel"].unique()
    }
    batches = sorted({problem(plan, name).batches[-1] for name in shown})
    several = _seeds(plan, frame.assign(optimizer=frame["panel"].str.split(",").str[0]), ["panel", "arm"])
    note = footer(plan, results, list(dict.fromkeys(shown)), f"batch {' and '.join(map(str, batches))}", seeds=several)
    return drawing.arm_curves(frame, note, y_label="Test accuracy (%)", x="spent", x_label=labels), frame


def sharpness(plan: Plan, results: Results) -> Drawn | None:
    """The measures of the minima against batch size."""
    found = ends(plan, results)
    if found.empty or not found[list(SHARPNESS)].notna().any(axis=None):
        return None
    parts, labels = [], {}
    for optimizer, rows in found.groupby("optimizer", sort=False):
        for name, label in SHARPNESS.items():
            here = rows[rows[name].notna() | rows["diverged"]]
            panel = f"{optimizer}, {TITLES[name]}"
            labels[panel] = label
            parts.append(here.assign(panel=panel, arm=here["method"].map(METHODS), value=here[name]))
    frame = pd.concat(parts, ignore_index=True)
    examples = {problem(plan, str(name)).measured for name in found["optimizer"].unique()}
    note = _footer(plan, results, found, f"over {' and '.join(map(str, sorted(examples)))} training examples")
    return drawing.against_size(frame, note, y_label=labels, log_y=True), frame


def candidates(plan: Plan, results: Results) -> Drawn | None:
    """Validation accuracy of the candidates for the rate: a panel an optimizer and method, a line a batch size."""
    rows, shown = [], []
    for cell in cells(plan):
        for setting in rates(plan, results, cell):
            value, lost = _validation(plan, results, cell, setting)
            if value is None:
                continue
            shown.append(cell.network)
            rows.append({
                "panel": f"{cell.network}, {METHODS[cell.method]}", "arm": f"batch {cell.batch}", "seed": SEED,
                "rate": setting.rate, "value": value, "diverged": lost,
            })  # fmt: skip
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    # a run that diverged is one point of a line here, not the whole of it
    drawn = frame[~frame["diverged"]].drop(columns="diverged")
    if drawn.empty:
        return None
    gone = int(frame["diverged"].sum())
    note = footer(
        plan, results, list(dict.fromkeys(shown)), f"mean of the last {LAST} evaluations of a run",
        *[f"{gone} diverged, left out"] * (gone > 0), seeds=1,
    )  # fmt: skip
    figure = drawing.arm_curves(
        drawn, note, y_label="Validation accuracy (%)", x="rate", x_label="Learning rate (log)", log_x=True,
    )  # fmt: skip
    return figure, frame


def _validation(plan: Plan, results: Results, cell: Cell, setting: Setting) -> tuple[float | None, bool]:
    """Validation accuracy (%) of a candidate, None where it has not been run, and whether it diverged."""
    trial = run(plan, cell, setting, SEED)
    done = results.run(trial)
    if done is None:
        return None, False
    lost = results.diverged(trial)
    found = None if lost else score(plan, results, cell, setting)
    return math.nan if found is None else 100 * found[0], lost


def relation(plan: Plan, results: Results) -> Drawn | None:
    """The best rate against batch size, with the power of the batch that fits."""
    frame = best_rates(plan, results)
    if frame.empty:
        return None
    frame = frame.assign(
        panel=frame["optimizer"], arm=frame["method"].map(METHODS), value=frame["rate"], bound=frame["edge"]
    )
    bounds = int(frame["edge"].sum())
    note = footer(
        plan, results, list(frame["optimizer"].unique()), "rates from a grid of factor 4, and between by a parabola",
        *[f"{bounds} of {len(frame)} at an end of the grid, so bounds"] * (bounds > 0), seeds=1,
    )  # fmt: skip
    figure = drawing.against_size(
        frame, note, y_label="Best learning rate (log)", log_y=True, bound_label="best at an end of the grid"
    )
    return figure, frame


def one_rate(plan: Plan, results: Results) -> Drawn | None:
    """The eigenvalue of SAM and ASAM over the plain one against batch size, at the best rates and at one."""
    found = ratios(plan, results, TOP)
    if not found["value"].notna().any():
        return None
    words = {"best": "each at its best rate", "one": "at one rate"}
    frame = found.assign(
        panel=found["optimizer"] + ", " + found["rates"].map(words), arm=found["method"].map(METHODS)
    ).sort_values(["optimizer", "rates"], ascending=[False, True], kind="stable")
    # plain training is 1 by definition: a line to look along
    plain = frame.drop_duplicates(["panel", "batch", "seed"]).assign(method=PLAIN, arm=METHODS[PLAIN], value=1.0)
    frame = pd.concat([plain, frame], ignore_index=True)
    note = footer(
        plan, results, list(frame["optimizer"].unique()),
        seeds=_seeds(plan, frame[frame["method"] != PLAIN], ["panel", "arm", "batch"]),
    )  # fmt: skip
    return drawing.against_size(
        frame, note, y_label=r"$\lambda_{\max}$ over that of plain training (log)", log_y=True
    ), frame


def longer(plan: Plan, results: Results) -> Drawn | None:
    """Test accuracy and training loss until the loss ceases to fall: plain at both ends of the batch, SAM at one."""
    parts, shown, ended = [], [], 0
    for cell, trials in longer_trials(plan, results).items():
        for seed, trial in enumerate(trials):
            found, done = paths(results, trial), results.run(trial)
            if found is None or done is None:
                continue
            shown.append(cell.network)
            ended += done.outcome["stop_reason"] == "budget"
            arm = f"{METHODS[cell.method]}, batch {cell.batch}"
            parts += [
                pd.DataFrame({
                    "panel": f"{cell.network}, {word}", "arm": arm, "seed": seed, "epoch": found["epoch"],
                    "value": found[column], "diverged": results.diverged(trial),
                })
                for column, word in (("accuracy", "test accuracy"), ("loss", "training loss"))
            ]  # fmt: skip
    if not parts:
        return None
    frame = pd.concat(parts, ignore_index=True)
    names = list(dict.fromkeys(shown))
    words = {f"{name}, test accuracy": "Test accuracy (%)" for name in names}
    words |= {f"{name}, training loss": "Training loss (nats, log)" for name in names}
    planned = sum(plan.seeds[cell.network] for cell in longer_cells(plan) if cell.network in names)
    note = footer(
        plan, results, names, f"{ended} of {len(shown)} ended by the budget",
        *[f"{len(shown)} of {planned} runs so far"] * (len(shown) < planned),
        seeds=_seeds(plan, frame.assign(optimizer=frame["panel"].str.split(",").str[0]), ["panel", "arm"]),
    )  # fmt: skip
    losses = [name for name in words if name.endswith("loss")]
    return drawing.arm_curves(frame, note, y_label=words, log_y=losses), frame
