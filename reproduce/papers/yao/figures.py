"""The figures of yao: the frame that each draws."""

import pandas as pd
from matplotlib.figure import Figure

from reproduce import arms, drawing
from reproduce.matching import words
from reproduce.papers.yao.trials import along, attack_frame, each, matched, run, spectrum_frame, sweep
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[Figure, pd.DataFrame]
NAMES = {1: r"$\lambda_1$", 2: r"$\lambda_2$", 3: r"$\lambda_3$", 0: r"$|\lambda_{\min}|$, where negative"}
MOMENTS = {"end": "At the end of training", "matched": "At matched training loss"}


def spectrum(plan: Plan, results: Results) -> Drawn | None:
    """The largest eigenvalues, and the size of the most negative one, against the batch size."""
    frame = spectrum_frame(plan, results)
    if frame.empty:
        return None
    frame = frame[(frame["which"] > 0) | (frame["value"] < 0) | frame["value"].isna()]
    frame = frame.assign(
        panel=_panels(plan, frame["network"], frame["moment"].map(MOMENTS)), arm=frame["which"].map(NAMES),
        value=frame["value"].where(frame["which"] > 0, -frame["value"]),
    )  # fmt: skip
    found = [at for name in frame["network"].unique() if (at := matched(plan, results, str(name))) is not None]
    notes = [words(found)] if found else []
    rough = int((~frame["converged"].astype(bool)).sum())
    if rough:
        notes.append(f"{rough} eigenvalue{'s' if rough > 1 else ''} above the declared residual")
    figure = drawing.against_size(
        frame, _footer(plan, results, frame, *notes), y_label="Eigenvalue of the Hessian (log)", log_y=True
    )
    return figure, frame


def eigenvector(plan: Plan, results: Results) -> Drawn | None:
    """Training loss along the eigenvector of the largest eigenvalue, small and large batch."""
    rows = []
    for name, batch, seed in each(plan):
        chosen = sweep(plan, name)
        if batch not in (chosen.batches[0], chosen.batches[-1]) or results.diverged(run(plan, name, batch, seed)):
            continue
        found = results.measured(along(plan, name, batch, seed))
        if found is None:
            continue
        place = {"panel": chosen.problem.label, "network": name, "arm": f"batch {batch}", "batch": batch, "seed": seed}
        rows += [
            {**place, "distance": alpha, "value": loss}
            for alpha, loss in zip(found["alphas"], found["losses"], strict=True)
        ]
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    figure = drawing.lines(
        frame, _footer(plan, results, frame), x="distance", x_label=r"Distance along the top eigenvector ($\ell_2$)",
        y_label="Training loss (nats, log)", log_y=True, marks={0.0: "solution"},
    )  # fmt: skip
    return figure, frame


def robustness(plan: Plan, results: Results) -> Drawn | None:
    """Accuracy under attack, and the share of the accuracy that is left, against the batch size."""
    found = attack_frame(plan, results)
    if found.empty:
        return None
    label = found["epsilon"].map(lambda epsilon: rf"$\epsilon$ = {epsilon:g}" if epsilon else "no attack")
    accuracy = found.assign(panel="Accuracy (%)", arm=label, value=found["accuracy"])
    kept = found.assign(panel="Share left (%)", arm=label, value=found["kept"])
    frame = pd.concat([accuracy, kept[kept["epsilon"] > 0]], ignore_index=True)
    frame = frame.assign(panel=_panels(plan, frame["network"], frame["panel"]))
    still = found["still"].max()
    notes = [f"without any gradient to follow: up to {still:.2g} % of the examples of a run"] if still > 0 else []
    titles = {panel: panel.replace("Accuracy (%)", "Under attack") for panel in frame["panel"].unique()}
    titles = {panel: title.replace("Share left (%)", "Relative to no attack") for panel, title in titles.items()}
    labels = {panel: "Test accuracy (%)" if "Accuracy" in panel else "Accuracy left (%)" for panel in titles}
    figure = drawing.against_size(
        frame,
        _footer(plan, results, frame, "ε in pixels of [0, 1]", *notes),
        y_label=labels,
        worse="down",
        titles=titles,
    )
    return figure, frame


def _panels(plan: Plan, networks: pd.Series, titles: pd.Series) -> pd.Series:
    """The title alone where there is one network."""
    return titles if len(plan.networks) == 1 else networks + ", " + titles


def _footer(plan: Plan, results: Results, frame: pd.DataFrame, *notes: str) -> drawing.Footer:
    shown = {str(name): sweep(plan, str(name)).problem for name in frame["network"].unique()}
    counted = [f"{sweep(plan, name).measured:,}" for name in shown if sweep(plan, name).measured]
    over = [f"Hessian over {', '.join(counted)} training examples"] if counted and "epsilon" not in frame else []
    return arms.footer(plan, results, shown, *over, *notes)
