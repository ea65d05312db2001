"""Table 1 as run, the break points of every speed-up curve, and the paper's contradictions."""

import math
from typing import Any

import pandas as pd

from bsgap.analysis import Interval, Threshold, regime_intervals
from bsgap.errors import UsageError
from reproduce import drawing
from reproduce.drawing.tables import ABSENT
from reproduce.papers.golmant.facts import CONTRADICTIONS, TABLE1
from reproduce.papers.golmant.figures import panel_or_none
from reproduce.papers.golmant.problems import BASE, LINEAR, ROOT, STRATEGIES, problem
from reproduce.papers.golmant.trials import run
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[drawing.Table, pd.DataFrame]
SHORT = {BASE: "BLR", LINEAR: "LSR", ROOT: "SRSR"}


def configurations(plan: Plan, results: Results) -> Drawn | None:
    """Table 1: the paper's row and, under it, what runs at this scale."""
    rows = []
    for name in plan.networks:
        paper, chosen = TABLE1.get(name), problem(plan, name)
        config = results.config(run(plan, name, chosen.batches[0], BASE, 0))
        options, data = config["model"]["init_args"], config["data"]["init_args"]
        optimizer = options["optimizer"]["init_args"]
        if paper is not None:  # the extra set of SVHN has no row there
            rows.append({
                "": "paper", "problem": f"{paper.network} on {paper.data}", "rules": paper.rules, "rate": paper.rate,
                "warm-up": paper.warmup, "epochs": paper.epochs,
                "batch sizes": f"2^{paper.batches[0]} to 2^{paper.batches[1]}", "momentum": None, "decay": None,
                "BatchNorm over": None, "augmentation": None,
            })  # fmt: skip
        rows.append({
            "": "here", "problem": chosen.data, "rules": ", ".join(SHORT[rule] for rule in chosen.rules),
            "rate": float(optimizer["lr"]), "warm-up": float(config["rate"]["warmup_epochs"]),
            "epochs": config["trainer"]["max_epochs"], "batch sizes": _sizes(chosen.batches),
            "momentum": float(optimizer.get("momentum") or 0), "decay": float(optimizer.get("weight_decay") or 0),
            "BatchNorm over": options.get("micro_batch"), "augmentation": _augmentation(data),
        })  # fmt: skip
    frame = pd.DataFrame(rows)
    return drawing.plain_table(frame), frame


def _sizes(batches: tuple[int, ...]) -> str:
    powers = [round(math.log2(batch)) for batch in batches]
    if powers == list(range(powers[0], powers[-1] + 1)):
        return f"2^{powers[0]} to 2^{powers[-1]}"
    return ", ".join(f"2^{power}" for power in powers)


def _augmentation(data: dict[str, Any]) -> str:
    if "flip" in data:
        return "crop, flip" if data.get("crop") else "flip" if data["flip"] else "none"
    return {"crop-flip": "crop, flip"}.get(data.get("augment", "none"), "none")


def break_points(plan: Plan, results: Results) -> Drawn | None:
    """The two break points of every speed-up curve, with their intervals over seeds."""
    rows = []
    for name in plan.networks:
        chosen = problem(plan, name)
        for fraction in chosen.fractions or (1.0,):
            found = panel_or_none(plan, results, name, chosen.rules if fraction == 1 else (BASE,), fraction)
            for rule in chosen.rules if found is not None and fraction == 1 else (BASE,):
                if found is not None:
                    share = "" if fraction == 1 else f", {fraction:.0%} of the data"
                    rows += _regimes(f"{chosen.label}{share}", STRATEGIES[rule], found.of(rule), found.threshold)
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    return drawing.plain_table(frame), frame


def _regimes(label: str, rule: str, rows: pd.DataFrame, level: Threshold) -> list[dict[str, Any]]:
    try:
        found = regime_intervals(rows)
    except UsageError:  # too few batch sizes reached the threshold
        return []
    return [{
        "problem": label, "rule": rule, "threshold": level.value, "linear until": _text(found.linear_until),
        "flat from": ("at least " if found.never_flat else "") + _text(found.flat_from),
        "slope between": _text(found.slope, "{:.2f}"), "B_crit": _text(found.critical_batch),
        "seeds": len(found.seeds), "not reached": found.censored,
    }]  # fmt: skip


def _text(interval: Interval, form: str = "{:.0f}") -> str:
    """`estimate [low, high]`, without an interval that says nothing."""
    if not interval.n or math.isnan(interval.estimate):
        return ABSENT
    text = form.format(interval.estimate)
    bounded = interval.n > 1 and all(0 <= end < 1e7 for end in (interval.low, interval.high))
    return f"{text} [{form.format(interval.low)}, {form.format(interval.high)}]" if bounded else text


def contradictions(plan: Plan, results: Results) -> Drawn:
    """What the paper says in two places, differently."""
    frame = pd.DataFrame(CONTRADICTIONS, columns=["subject", "one place", "another"])
    return drawing.plain_table(frame), frame
