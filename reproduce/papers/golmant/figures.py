"""The figures of Golmant et al.: the frame that each draws, from runs and measures."""

from collections.abc import Iterable

import pandas as pd
from matplotlib.figure import Figure

from bsgap.analysis import Interval, regime_intervals, steps_to
from bsgap.analysis.regimes import MIN_BATCHES
from bsgap.errors import UsageError
from reproduce import drawing
from reproduce.papers.golmant.panels import WINDOW, Panel, curve, panel
from reproduce.papers.golmant.problems import (
    BASE,
    CONTOURS,
    DATA_SETS,
    LINEAR,
    NETWORKS,
    SIZES,
    SOURCES,
    STRATEGIES,
    present,
    problem,
)
from reproduce.papers.golmant.trials import accuracy, approximation, curves, run, seeds
from reproduce.results import Results
from reproduce.study import Measure, Plan

Drawn = tuple[Figure, pd.DataFrame]
COLUMNS = {BASE: "Base learning rate", LINEAR: "Linear scaling rule"}
METRICS = {"train_loss": "Training", "test_loss": "Test"}


def footer(plan: Plan, results: Results, names: Iterable[str], *notes: str, of: tuple[str, ...] = ()) -> drawing.Footer:
    """Where the numbers of a figure on these problems come from.

    Args:
        plan: Names scale and seeds.
        results: Names the machines.
        names: Problems that are drawn.
        notes: Further remarks.
        of: Problems that the paper's figure has; those that do not run here are named.
    """
    shown = list(names)
    counts = {problem(plan, name).label: plan.seeds[name] for name in shown}
    alike = len(set(counts.values())) == 1
    text = ", ".join(f"{label}: {count} seed{'s' if count > 1 else ''}" for label, count in counts.items())
    image = any(name not in ("LSTM",) for name in shown)
    return drawing.Footer(
        plan.scale, "; ".join(problem(plan, name).data for name in shown),
        next(iter(counts.values())) if alike else text, "batch" if image else "", results.machine_class,
        [name for name in of if name in plan.not_run], notes,
    )  # fmt: skip


def contours(plan: Plan, results: Results, metric: str) -> Drawn | None:
    """Figs 1 and 5: mean loss over seeds at each batch size and step."""
    parts = []
    names = present(plan, CONTOURS)
    for name in names:
        for rule, batch, seed in curves(plan, name, (BASE, LINEAR)):
            trial = run(plan, name, batch, rule, seed)
            found = curve(results, trial, metric)
            if found is not None:
                place = {"row": problem(plan, name).short, "column": COLUMNS[rule], "batch": batch, "seed": seed}
                rows = pd.DataFrame({"step": found.steps, "loss": found.losses})
                parts.append(rows[rows["step"] > 0].assign(**place, diverged=found.diverged))
    if not parts:
        return None
    frame = pd.concat(parts, ignore_index=True)
    rows = frame["row"].unique()
    shown = [name for name in names if problem(plan, name).short in rows]
    label = f"{METRICS[metric]} loss (nats)"
    figure = drawing.contours(
        frame, footer(plan, results, shown, of=CONTOURS), columns=list(COLUMNS.values()), loss_label=label
    )  # fmt: skip
    return figure, frame


def panel_or_none(
    plan: Plan, results: Results, name: str, rules: tuple[str, ...] = (BASE,), fraction: float = 1.0
) -> Panel | None:
    """The panel of a problem; None also where its threshold cannot be taken, of which the problem's figure tells."""
    try:
        return panel(plan, results, name, rules, fraction)
    except UsageError:
        return None


def level_note(label: str, found: Panel) -> str:
    """The threshold of a panel in words."""
    level = found.threshold
    text = f"{label}: training loss ε = {level.value:.3g}"
    text += f" (taken at batch {level.batch}: {level.rule})" if level.fallback else ""
    return text + without_base(found)


def _nothing_drawn(reasons: Iterable[str]) -> None:
    """Tell why no panel of a figure could be drawn, where there are reasons."""
    if text := "; ".join(reasons):
        raise UsageError(f"{text}.")


def without_base(found: Panel) -> str:
    """Which seeds a panel leaves out, as the end of a note."""
    seeds = ", ".join(map(str, found.without_base))
    return f" (left out: seed {seeds}, whose smallest batch never reached it)" if seeds else ""


def fallback(found: Panel) -> str:
    """Which batch a threshold comes from where it is not the largest one, as a part of a note."""
    return f" (of batch {found.threshold.batch}: no larger one learned)" if found.threshold.fallback else ""


def _by_rule(plan: Plan, results: Results, name: str) -> Panel | None:
    return panel(plan, results, name, problem(plan, name).rules) if name in plan.networks else None


def rules(plan: Plan, results: Results, name: str = "ResNet34") -> Drawn | None:
    """Fig. 2, left: speed-up under each rule, with the base rate's break points."""
    found = _by_rule(plan, results, name)
    if found is None:
        return None
    chosen = problem(plan, name)
    frame = found.frame.assign(panel=chosen.short, series=found.frame["rule"].map(STRATEGIES))
    notes = (level_note(chosen.label, found), f"running median of {WINDOW} evaluations")
    return drawing.speedups(
        frame, footer(plan, results, [name], *notes), breaks=_breaks(frame, STRATEGIES[BASE])
    ), frame  # fmt: skip


def levels(plan: Plan, results: Results, name: str = "ResNet34") -> Drawn | None:
    """The speed-ups of Fig. 2, left, at lower losses: those that every second and fourth smaller batch reaches."""
    if name not in plan.networks:
        return None
    chosen, parts, notes = problem(plan, name), [], []
    for reference in chosen.batches[::-2][:3]:
        try:
            found = panel(plan, results, name, chosen.rules, reference=reference)
        except UsageError as error:  # the other levels can be drawn
            notes.append(str(error).partition(": no speed-up")[0])
            continue
        if found is not None:
            level = found.threshold
            title = f"$\\epsilon$ = {level.value:.3g}, of batch {level.batch}"
            parts.append(found.frame.assign(panel=title, series=found.frame["rule"].map(STRATEGIES)))
            notes += [f"ε = {level.value:.3g}{without_base(found)}"] if found.without_base else []
    if not parts:
        _nothing_drawn(notes)
        return None
    frame = pd.concat(parts, ignore_index=True)
    note = "training loss ε: lower quartile of the losses at every step of the batch named, base rate"
    return drawing.speedups(frame, footer(plan, results, [name], note, *notes)), frame


def _breaks(frame: pd.DataFrame, series: str) -> pd.DataFrame | None:
    """The break points of one series, where it has the batch sizes for them."""
    rows = frame[frame["series"] == series]
    if rows.loc[rows["reached"].astype(bool), "batch"].nunique() < MIN_BATCHES:
        return None
    try:
        found = regime_intervals(rows)
    except UsageError:  # no seed alone has enough of them
        return None
    lines = {"linear until": found.linear_until, "flat from": found.flat_from}
    return pd.DataFrame([
        {"panel": rows["panel"].iloc[0], "label": label, "batch": at.estimate, "series": series, **_ends(at)}
        for label, at in lines.items()
    ])  # fmt: skip


def _ends(interval: Interval) -> dict[str, float]:
    return {"low": interval.low, "high": interval.high}


def compared(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 3: base rate; networks on one data set at the left, data sets under one network at the right."""
    main = problem(plan, "ResNet34") if "ResNet34" in plan.networks else None
    data = SOURCES[main.source] if main else "one data set"
    groups = ((f"Networks on {data}", NETWORKS), (f"Data sets, {main.label if main else 'one network'}", DATA_SETS))
    parts, levels = [], {}
    for title, names in groups:
        chosen = present(plan, names)
        if len(chosen) < 2:  # a curve alone compares nothing
            continue
        for name in chosen:
            try:
                found = panel(plan, results, name)
            except UsageError as error:  # the other curves can be drawn
                levels[name] = str(error).partition(": no speed-up")[0]
                continue
            if found is not None:
                series = data if name == "ResNet34" and names is DATA_SETS else problem(plan, name).label
                parts.append(found.frame.assign(panel=title, series=series))
                levels[name] = (
                    f"{problem(plan, name).label} {found.threshold.value:.3g}{fallback(found)}{without_base(found)}"
                )
    if not parts:
        _nothing_drawn(levels.values())
        return None
    frame = pd.concat(parts, ignore_index=True)
    text = f"base rate; training loss ε: {', '.join(levels.values())}"
    return drawing.speedups(frame, footer(plan, results, levels, text, of=NETWORKS + DATA_SETS)), frame


def sizes(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 4: base rate; shares of one data set, each with a threshold of its own."""
    parts, notes, shown = [], [], []
    for name in present(plan, SIZES):
        chosen = problem(plan, name)
        for fraction in chosen.fractions:
            try:
                found = panel(plan, results, name, fraction=fraction)
            except UsageError as error:  # the other shares can be drawn
                notes.append(f"{fraction:.0%}: {str(error).partition(': no speed-up')[0]}")
                continue
            if found is not None:
                seeds_of = found.frame["seed"].nunique()
                parts.append(found.frame.assign(panel=chosen.short, series=f"{fraction:.0%} of the data"))
                counted = f"{seeds_of} seed{'s' if seeds_of > 1 else ''}"
                notes.append(
                    f"{fraction:.0%} {found.threshold.value:.3g} ({counted}){fallback(found)}{without_base(found)}"
                )
                shown.append(name)
    if not parts:
        _nothing_drawn(notes)
        return None
    frame = pd.concat(parts, ignore_index=True)
    text = f"base rate; training loss ε, for each share anew: {', '.join(notes)}"
    return drawing.speedups(frame, footer(plan, results, dict.fromkeys(shown), text, of=SIZES)), frame


def approximation_measures(plan: Plan, results: Results, name: str = "ResNet34") -> list[Measure]:
    """Error of the linear approximation and test accuracy where the runs with the linear rule ended."""
    if name not in plan.networks:
        return []
    runs = [(batch, seed) for _, batch, seed in curves(plan, name, (LINEAR,))]
    return [approximation(plan, name, batch, seed) for batch, seed in runs] + [
        accuracy(run(plan, name, batch, LINEAR, seed)) for batch, seed in runs
    ]


def approximation_frame(plan: Plan, results: Results, name: str = "ResNet34") -> pd.DataFrame:
    """Batch, seed, error, same_batch_error and test accuracy (%) of the runs with the linear rule."""
    rows = []
    for _, batch, seed in curves(plan, name, (LINEAR,)) if name in plan.networks else ():
        measure = approximation(plan, name, batch, seed)
        right = results.value(accuracy(run(plan, name, batch, LINEAR, seed)), "test_accuracy")
        error = results.value(measure, "error")
        if error is not None and right is not None:
            same = results.value(measure, "same_batch_error")
            rows.append({
                "batch": batch, "seed": seed, "error": error, "same_batch_error": same, "test_accuracy": 100 * right,
                "diverged": results.diverged(run(plan, name, batch, LINEAR, seed)),
            })  # fmt: skip
    return pd.DataFrame(rows)


def linearity(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 2, right."""
    frame = approximation_frame(plan, results)
    if frame.empty:
        return None
    where = footer(plan, results, ["ResNet34"], "linear rule, at the end of training")
    return drawing.approximation(frame, where, title=problem(plan, "ResNet34").short), frame


def cost(plan: Plan, results: Results) -> Drawn | None:
    """Examples to the threshold against batch size, for each rule."""
    found = _by_rule(plan, results, "ResNet34")
    if found is None:
        return None
    chosen = problem(plan, "ResNet34")
    frame = found.frame.assign(panel=chosen.short, series=found.frame["rule"].map(STRATEGIES))
    return drawing.costs(frame, footer(plan, results, ["ResNet34"], level_note(chosen.label, found))), frame


def longer_measures(plan: Plan, results: Results) -> list[Measure]:
    """Test accuracy where the runs of `longer` ended."""
    return [
        accuracy(run(plan, name, batch, rule, seed, longer=times)) for name, batch, rule, seed, times in _longer(plan)
    ]


def _longer(plan: Plan) -> list[tuple[str, int, str, int, int]]:
    found = []
    for name in plan.networks:
        chosen = problem(plan, name)
        for seed in seeds(plan, name) if chosen.longer else ():
            found.append((name, chosen.batches[0], BASE, seed, 1))
            found += [
                (name, chosen.batches[-1], rule, seed, times)
                for rule in (BASE, LINEAR)
                for times in (1, *chosen.longer)
            ]
    return found


def longer_frame(plan: Plan, results: Results) -> pd.DataFrame:
    """Series, budget (epochs), seed, steps to the threshold and test accuracy (%) of every run of `longer`."""
    rows = []
    panels = {name: panel_or_none(plan, results, name) for name in plan.networks if problem(plan, name).longer}
    for name, batch, rule, seed, times in _longer(plan):
        chosen = problem(plan, name)
        found, trial = panels[name], run(plan, name, batch, rule, seed, longer=times)
        rows_of = curve(results, trial)
        right = results.value(accuracy(trial), "test_accuracy")
        if found is None or rows_of is None or right is None:
            continue
        crossing = steps_to(rows_of, found.threshold.value, window=WINDOW)
        series = f"batch {batch}, {STRATEGIES[rule].lower()}"
        rows.append({
            "problem": name, "series": series, "batch": batch, "rule": rule, "epochs": times * chosen.epochs,
            "seed": seed,
            "steps": crossing.step, "reached": crossing.reached, "last_step": crossing.last_step,
            "test_accuracy": 100 * right, "diverged": rows_of.diverged,
        })  # fmt: skip
    return pd.DataFrame(rows)


def longer(plan: Plan, results: Results) -> Drawn | None:
    """What training longer gives: steps to the threshold and test accuracy against the budget."""
    frame = longer_frame(plan, results)
    if frame.empty:
        return None
    names = list(frame["problem"].unique())
    levels = {name: panel_or_none(plan, results, name) for name in names}
    notes = [level_note(problem(plan, name).label, found) for name, found in levels.items() if found is not None]
    return drawing.longer(frame, footer(plan, results, names, *notes)), frame
