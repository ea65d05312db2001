"""The figures of AdaBatch: the frame that each draws, from runs and measures."""

import pandas as pd
from matplotlib.figure import Figure

from reproduce import arms, drawing
from reproduce.papers.adabatch.facts import speedup as reported_speedup
from reproduce.papers.adabatch.problems import ADAPTIVE, LABELS, LARGE, NETWORKS, PROBLEMS, schedule
from reproduce.papers.adabatch.trials import DIRECTIONS, ROUNDS, speedups
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[Figure, pd.DataFrame]
PANELS = {ADAPTIVE: "Adaptive over small, fixed", LARGE: "Large over small, both fixed"}


def _sizes(plan: Plan, names: list[str]) -> str:
    """The batch sizes of the networks that are drawn, in words."""
    found: dict[str, list[str]] = {}
    for name in names:
        of = schedule(plan.scale, name)
        found.setdefault(f"{of.small} to {of.large}", []).append(PROBLEMS[plan.scale][name].label)
    if len(found) == 1:
        return f"batch {next(iter(found))}"
    return "batch " + ", ".join(f"{sizes} ({' and '.join(labels)})" for sizes, labels in found.items())


def _curves(plan: Plan, results: Results, metric: str, label: str, *, x: str, log: bool) -> Drawn | None:
    frame = arms.frame(plan, results, PROBLEMS, metric)
    if frame.empty:
        return None
    names = list(dict.fromkeys(frame["problem"]))
    shown = arms.present(plan, PROBLEMS, names)
    where = arms.footer(plan, results, shown, _sizes(plan, names), of=NETWORKS)
    marks = None
    if x == "epoch":
        of = {name: schedule(plan.scale, name) for name in names}
        marks = {shown[name].label: list(range(at.every, at.epochs, at.every)) for name, at in of.items()}
    figure = drawing.arm_curves(
        frame, where, y_label=label, x=x, log_x=x == "step", log_y=log, marks=marks,
        marks_label="rate falls, adaptive batch doubles" if marks else "",
    )  # fmt: skip
    return figure, frame


def loss(plan: Plan, results: Results) -> Drawn | None:
    """Training loss against epochs."""
    return _curves(plan, results, "train_loss", "Training loss (nats, log)", x="epoch", log=True)


def error(plan: Plan, results: Results) -> Drawn | None:
    """Test error against epochs."""
    return _curves(plan, results, "test_error", "Test error (%, log)", x="epoch", log=True)


def against_updates(plan: Plan, results: Results) -> Drawn | None:
    """Test error against updates."""
    return _curves(plan, results, "test_error", "Test error (%, log)", x="step", log=True)


def speedup_frame(plan: Plan, results: Results) -> pd.DataFrame:
    """Panel, group (network), arm (direction), seed and value of every measured speed-up."""
    rows = []
    for key, panel in PANELS.items():
        for name in plan.networks:
            for direction in DIRECTIONS:
                for seed, value in speedups(plan, results, name, key, direction).items():
                    group = PROBLEMS[plan.scale][name].label
                    rows.append({
                        "panel": panel, "group": group, "problem": name, "arm": direction, "seed": seed,
                        "value": value,
                    })  # fmt: skip
    return pd.DataFrame(rows)


def bars(plan: Plan, results: Results) -> Drawn | None:
    """Speed-up of the forward and the backward pass."""
    frame = speedup_frame(plan, results)
    if frame.empty:
        return None
    names = list(dict.fromkeys(frame["problem"]))
    known = [
        {"panel": PANELS[ADAPTIVE], "group": PROBLEMS[plan.scale][name].label, "arm": arm, "value": value}
        for name in names
        if (value := reported_speedup(name)) is not None
        for arm in DIRECTIONS
    ]
    where = arms.footer(
        plan, results, arms.present(plan, PROBLEMS, names), _sizes(plan, names), f"median of {ROUNDS} timed steps",
        of=NETWORKS,
    )  # fmt: skip
    figure = drawing.bars(
        frame, where, y_label="Speed-up", reported=pd.DataFrame(known) if known else None,
        reported_label="reported, GPU and CIFAR-100 (S)", reference_label=f"as fast as {LABELS['small']}",
        words="{:.2f}×",
    )  # fmt: skip
    return figure, frame
