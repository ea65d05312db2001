"""The paper's own numbers: its tables, and the authors' curves of Fig. 3."""

import json
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from reproduce.papers.keskar.trials import setting
from reproduce.study import Plan

FACTS = Path(__file__).parent.parent / "facts"


@cache
def reported(name: str) -> dict[str, Any]:
    """The paper's numbers: `table2`, `table3`, `table4`; tag P."""
    facts: dict[str, Any] = json.loads((FACTS / "keskar_tables.json").read_text())
    return facts[name]


def reported_frame(name: str, plan: Plan) -> pd.DataFrame:
    """A table of the paper, tidy: row (network), column, mean, std, source, and group (ε) for Tables 3 and 4.

    It has the rows of the plan's networks, those that were not run included.
    """
    rows = []
    for network, cells in reported(name)["rows"].items():
        for column, (mean, std) in zip(reported(name)["columns"], cells, strict=True):
            group, method = column.split(" ")
            place = {"column": column} if name == "table2" else {"group": epsilon_label(float(group)), "column": method}
            rows.append({"row": network, "mean": mean, "std": std, "source": "P", **place})
    frame = pd.DataFrame(rows)
    return frame[frame["row"].isin([*plan.networks, *plan.not_run])]


def reported_gap(network: str) -> float | None:
    """Points of test accuracy between small and large batch in Table 2."""
    cells = reported("table2")["rows"].get(network)
    return cells[2][0] - cells[3][0] if cells else None


def reported_ratio(network: str) -> float | None:
    """Sharpness of the large-batch over that of the small-batch solution in Table 3, at ε = 1e-3."""
    cells = reported("table3")["rows"].get(network)
    return cells[1][0] / cells[0][0] if cells else None


def epsilon_label(value: float) -> str:
    """`ε = 1e-3`."""
    return f"ε = {value:.0e}".replace("e-0", "e-")


def authors_curves(plan: Plan, networks: list[str]) -> pd.DataFrame | None:
    """The authors' own curves of Fig. 3, where network and data are theirs: network, alpha, split, loss, accuracy."""
    known = json.loads((FACTS / "keskar_fig3.json").read_text())["networks"]
    rows = []
    for network in networks:
        if network not in known or "analogue" in setting(plan, network).data:
            continue
        curves = known[network]
        for split, index in product(("train", "test"), range(len(curves["alpha"]))):
            rows.append(
                {
                    "network": network, "alpha": curves["alpha"][index], "split": split,
                    "loss": curves[f"loss_{split}"][index], "accuracy": curves[f"acc_{split}"][index],
                }
            )  # fmt: skip
    return pd.DataFrame(rows) if rows else None
