"""The figures of jastrzebski: the frame that each draws."""

import pandas as pd
from matplotlib.figure import Figure

from reproduce import arms, drawing
from reproduce.matching import words as words_of
from reproduce.papers.jastrzebski import trials
from reproduce.papers.jastrzebski.problems import words
from reproduce.papers.jastrzebski.trials import grid
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[Figure, pd.DataFrame]
SIDE = "points of one ratio side by side"
QUANTITIES = {
    "end": ("Hessian norm at the end", r"Largest eigenvalue $\lambda_1$ (log)"),
    "matched": ("Hessian norm at matched loss", r"Largest eigenvalue $\lambda_1$ (log)"),
    "accuracy": ("Test accuracy", "Test accuracy (%)"),
}


def against_ratio(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 1: Hessian norm and accuracy against the ratio of rate to batch size."""
    found = trials.frame(plan, results)
    found = found[found["network"] == "MLP"]
    if found.empty:
        return None
    parts = [
        found.assign(panel=title, value=found[column])
        for column, (title, _) in QUANTITIES.items()
        if found[column].notna().any()
    ]
    if not parts:
        return None
    frame = pd.concat(parts, ignore_index=True)
    labels = dict(QUANTITIES.values())
    figure = drawing.against_ratio(
        frame, _footer(plan, results, found, *_matched(plan, results, found), *_collapsed(found), SIDE), y_label=labels,
        log_y=[title for title in labels if title.startswith("Hessian")],
    )  # fmt: skip
    return figure, frame


def lines(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 2: loss along the lines between solutions."""
    rows = []
    for name, ends, seed in trials.each_line(plan):
        if any(results.diverged(trials.run(plan, name, pair, seed)) for pair in ends):
            continue
        found = results.measured(trials.line(plan, name, ends, seed))
        if found is None:
            continue
        title = " to ".join(f"({rate:g}, {batch})" for rate, batch in ends)
        place = {"panel": f"(η, S) = {title}", "network": name, "seed": seed}
        for split in ("train", "test"):
            rows += [
                {**place, "arm": split, "alpha": alpha, "value": loss}
                for alpha, loss in zip(found["alphas"], found["losses"][split], strict=True)
            ]
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    figure = drawing.lines(
        frame, _footer(plan, results, frame), x="alpha", x_label=r"$\alpha$", y_label="Cross-entropy (nats, log)",
        log_y=True, marks={0.0: "0", 1.0: "1"},
    )  # fmt: skip
    return figure, frame


def equal_ratios(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 3: Hessian norm and accuracy at one ratio, beside those at one rate, against the batch size."""
    found = trials.frame(plan, results)
    rows = []
    for name in plan.networks:
        chosen = grid(plan, name)
        for arm, pairs in (("one ratio η/S", chosen.equal), ("one rate η", chosen.unequal)):
            if len(plan.networks) == 1 and pairs:  # else each network has its own
                rate, batch = pairs[-1]
                arm = f"{arm} = {rate / batch if 'ratio' in arm else rate:g}"
            for pair in pairs:
                for column in ("end", "accuracy"):
                    title, _ = QUANTITIES[column]
                    panel = title if len(plan.networks) == 1 else f"{name}: {title[0].lower()}{title[1:]}"
                    for seed, value in trials.at(found, name, pair, column).items():
                        rows.append({
                            "panel": panel, "network": name, "arm": arm, "batch": pair[1], "rate": pair[0],
                            "quantity": column, "seed": seed, "value": value, "pair": words(pair),
                        })  # fmt: skip
    if not rows:
        return None
    frame = pd.DataFrame(rows).sort_values("quantity", ascending=False, kind="stable")
    labels = {str(panel): QUANTITIES[str(part["quantity"].iloc[0])][1] for panel, part in frame.groupby("panel")}
    figure = drawing.against_size(
        frame, _footer(plan, results, frame, *_collapsed(found)), y_label=labels, worse="down",
        log_y=[panel for panel, label in labels.items() if "log" in label],
    )  # fmt: skip
    return figure, frame


def _matched(plan: Plan, results: Results, found: pd.DataFrame) -> list[str]:
    known = [at for name in found["network"].unique() if (at := trials.matched(plan, results, str(name))) is not None]
    return [words_of(known)] if known else []


def _collapsed(found: pd.DataFrame) -> list[str]:
    count = int(found["collapsed"].sum())
    runs = f"{count} run{'s' * (count > 1)}"
    return [f"{runs} ended {trials.COLLAPSE:g} points of training accuracy or more below their best"] * (count > 0)


def _footer(plan: Plan, results: Results, frame: pd.DataFrame, *notes: str) -> drawing.Footer:
    shown = {str(name): grid(plan, str(name)).problem for name in frame["network"].unique()}
    samples = dict.fromkeys(f"{grid(plan, name).measured:,}" for name in shown)
    over = f"training loss and its Hessian over {' and '.join(samples)} training examples"
    return arms.footer(plan, results, shown, over, *notes, of=list(plan.not_run))
