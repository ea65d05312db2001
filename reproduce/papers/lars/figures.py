"""The figures of LARS: the frame that each draws."""

import pandas as pd
from matplotlib.figure import Figure

from reproduce import arms, drawing
from reproduce.papers.lars import facts
from reproduce.papers.lars.problems import METHODS
from reproduce.papers.lars.trials import accuracies, each, pair, run
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[Figure, pd.DataFrame]


def accuracy(plan: Plan, results: Results) -> Drawn | None:
    """Test accuracy at the end against batch size, without and with LARS, beside what is reported on ImageNet."""
    rows, shown = [], {}
    for name in plan.networks:
        for method, label in METHODS.items():
            for batch in pair(plan, name).batches:
                for seed, value in accuracies(plan, results, name, method, batch).items():
                    shown[name] = pair(plan, name).plain
                    rows.append({
                        "panel": _panel(plan, name), "problem": name, "arm": label, "method": method, "batch": batch,
                        "seed": seed, "value": value,
                    })  # fmt: skip
    if not rows:
        return None
    frame, paper = pd.DataFrame(rows), facts.accuracies()
    if plan.scale != "paper":  # of ResNet-50 the paper's two numbers are no curve
        paper = paper[paper["panel"].str.startswith("AlexNet")]
    figure = drawing.against_size(
        frame, arms.footer(plan, results, shown, of=list(plan.not_run)), y_label="Top-1 accuracy (%)", reported=paper,
        reported_label="reported (N)", worse="down", reported_alone=True,
    )  # fmt: skip
    return figure, frame


def _panel(plan: Plan, name: str) -> str:
    """The problem's panel: at the paper's scale that of the reported numbers too, as they are of one problem."""
    if plan.scale != "paper":
        return pair(plan, name).plain.label
    return f"{name.replace('AlexNet', 'AlexNet-BN')} on {facts.PANEL}"


def curves(plan: Plan, results: Results) -> Drawn | None:
    """Test accuracy by epoch at the base and at the largest batch size, without LARS and with it."""
    parts, shown = [], {}
    for name, method, batch, seed in each(plan, ("base", "largest")):
        found = arms.curve(results, trial := run(plan, name, method, batch, seed), "test_accuracy")
        if found is None or found.empty:
            continue
        shown[name] = pair(plan, name).plain
        title = METHODS[method].replace("w", "W", 1) if len(plan.networks) == 1 else f"{name}, {METHODS[method]}"
        place = {"panel": title, "problem": name, "method": method, "arm": f"batch {batch}", "seed": seed}
        parts.append(found.assign(**place, diverged=results.diverged(trial)))
    if not parts:
        return None
    frame = pd.concat(parts, ignore_index=True)
    footer = arms.footer(plan, results, shown, of=list(plan.not_run))
    return drawing.arm_curves(frame, footer, y_label="Test accuracy (%)"), frame
