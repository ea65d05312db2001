"""Tables with the paper's numbers beside our own: mean ± std (n), and every reported number with its source."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from reproduce.drawing import frames
from reproduce.drawing.tables import ABSENT, Table, group_head, tabular
from reproduce.latex import escape, spread


def beside(
    ours: pd.DataFrame,
    reported: pd.DataFrame,
    *,
    row_title: str = "Network",
    decimals: int | None = None,
) -> Table:
    """One line a row, and under every column heading a pair: reported, ours as mean ± std (n).

    Args:
        ours: Columns row, column, seed, value, and group for headings that span columns. NaN values are diverged
            runs: they are left out of the mean and counted.
        reported: Columns row, column, mean, std (NaN: none given), source (P, S, C or N), and group if `ours` has it.
            Rows that `ours` does not have are printed too, with a dash for ours: what was not run is seen.
        row_title: Heading of the first column.
        decimals: Decimals of ours and reported; None chooses by the deviation.

    Raises:
        UsageError: A column is missing, or `ours` is empty.
    """
    ours, reported = _checked(ours, reported, ())
    cells = _cells(ours, reported)
    columns = _columns(ours, reported)
    rows = _rows(ours, reported)
    tag, shared = _shared_source(reported)
    head = group_head(columns, width=2, before=1)
    head.append(" & ".join(["", *[rf"\multicolumn{{2}}{{c}}{{{escape(column)}}}" for _, column in columns]]) + r" \\")
    head.append("".join(rf"\cmidrule(lr){{{2 + 2 * at}-{3 + 2 * at}}}" for at in range(len(columns))))
    head.append(" & ".join([escape(row_title), *[f"reported{escape(tag)} & ours"] * len(columns)]) + r" \\")
    body = []
    for row in rows:
        line: list[str] = [escape(row)]
        for group, column in columns:
            line.append(_reported_text(reported, row, group, column, decimals, shared))
            line.append(_ours_text(ours, row, group, column, decimals))
        body.append(" & ".join(line) + r" \\")
    return Table(tabular("l" + "rr" * len(columns), head, body), cells)


def stacked(
    ours: pd.DataFrame,
    reported: pd.DataFrame,
    *,
    row_title: str = "Network",
    reading_title: str = "Measured by",
    decimals: int | None = None,
) -> Table:
    """A block a row: the reported line first, then ours, one line a reading, each as mean ± std (n).

    Args:
        ours: Columns row, reading, column, seed, value, and group for headings that span columns.
        reported: Columns row, column, mean, std, source, and group if `ours` has it.
        row_title: Heading of the first column.
        reading_title: Heading of the second.
        decimals: Decimals; None chooses by the deviation.

    Raises:
        UsageError: A column is missing, or `ours` is empty.
    """
    ours, reported = _checked(ours, reported, ("reading",))
    columns = _columns(ours, reported)
    tag, shared = _shared_source(reported)
    head = group_head(columns, width=1, before=2)
    titles = [escape(row_title), escape(reading_title), *[escape(column) for _, column in columns]]
    head.append(" & ".join(titles) + r" \\")
    body: list[str] = []
    for row in _rows(ours, reported):
        if body:
            body.append(r"\addlinespace")
        named = str(escape(row))
        if (reported["row"] == row).any():
            texts = [_reported_text(reported, row, group, column, decimals, shared) for group, column in columns]
            body.append(" & ".join([named, f"reported{escape(tag)}", *texts]) + r" \\")
            named = ""
        here = ours[ours["row"] == row]
        for reading in frames.order(here, "reading") if len(here) else []:
            of_reading = here[here["reading"] == reading]
            texts = [_ours_text(of_reading, row, group, column, decimals) for group, column in columns]
            body.append(" & ".join([named, f"ours, {escape(reading)}" if reading else "ours", *texts]) + r" \\")
            named = ""
        if not len(here):
            body.append(" & ".join([named, "ours", *[rf"\multicolumn{{{len(columns)}}}{{c}}{{not run}}"]]) + r" \\")
    return Table(tabular("ll" + "r" * len(columns), head, body), _cells(ours, reported))


def _checked(ours: pd.DataFrame, reported: pd.DataFrame, extra: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    frames.need(ours, ("row", *extra, "column", "seed", "value"), "table")
    if len(reported):
        frames.need(reported, ("row", "column", "mean", "std", "source"), "table (reported)")
    else:
        reported = pd.DataFrame(columns=["row", "column", "mean", "std", "source"])
    ours = ours.assign(group=ours.get("group", ""), reading=ours.get("reading", ""))
    reported = reported.assign(group=reported.get("group", ""))
    return ours, reported


def _columns(ours: pd.DataFrame, reported: pd.DataFrame) -> list[tuple[str, str]]:
    keys = ["group", "column"]
    both = pd.concat([reported[keys], ours[keys]]).drop_duplicates()  # the paper's order, then what it has not
    groups = list(both["group"].unique())  # a column that only one side has joins its own group
    return [(str(g), str(c)) for group in groups for g, c in both[both["group"] == group].itertuples(index=False)]


def _rows(ours: pd.DataFrame, reported: pd.DataFrame) -> list[str]:
    """The paper's order where it names the row, ours after."""
    return list(dict.fromkeys([*frames.order(reported, "row"), *frames.order(ours, "row")]))


def _shared_source(reported: pd.DataFrame) -> tuple[str, bool]:
    """The source of all reported numbers for the heading, when it is one; else each cell carries its own."""
    sources = reported["source"].dropna().unique() if len(reported) else []
    return (f" [{sources[0]}]", True) if len(sources) == 1 else ("", False)


def _chosen(frame: pd.DataFrame, row: str, group: str, column: str) -> pd.DataFrame:
    return frame[(frame["row"].astype(str) == row) & (frame["group"] == group) & (frame["column"] == column)]


def _reported_text(
    reported: pd.DataFrame, row: str, group: str, column: str, decimals: int | None, shared: bool
) -> str:
    found = _chosen(reported, row, group, column)
    if found.empty or not np.isfinite(float(found["mean"].iloc[0])):
        return escape(ABSENT)
    entry = found.iloc[0]
    # two decimals, as the papers print them, unless told otherwise
    text = spread(float(entry["mean"]), float(entry["std"]), decimals=2 if decimals is None else decimals)
    return escape(text if shared else f"{text} [{entry['source']}]")


def _ours_text(ours: pd.DataFrame, row: str, group: str, column: str, decimals: int | None) -> str:
    found = _chosen(ours, row, group, column)
    if found.empty:
        return escape(ABSENT)
    mean, deviation, count, diverged = _summary(found)
    lost = f", {diverged} diverged" if diverged else ""
    if not count:
        return escape(f"{ABSENT} ({diverged} diverged)")
    return escape(f"{spread(mean, deviation, decimals=decimals)} ({count}{lost})")


def _summary(found: pd.DataFrame) -> tuple[float, float, int, int]:
    values = found["value"].to_numpy(float)
    finite = values[np.isfinite(values)]
    mean = float(finite.mean()) if finite.size else float("nan")
    deviation = float(finite.std(ddof=1)) if finite.size > 1 else float("nan")
    return mean, deviation, int(finite.size), int(values.size - finite.size)


def _cells(ours: pd.DataFrame, reported: pd.DataFrame) -> pd.DataFrame:
    rows: list[dict[str, object]] = []
    for entry in reported.to_dict("records"):
        keys = {key: entry[key] for key in ("row", "group", "column", "mean", "std", "source")}
        rows.append({**keys, "reading": "", "kind": "reported"})
    for keys, found in ours.groupby(["row", "reading", "group", "column"], sort=False):
        mean, deviation, count, diverged = _summary(found)
        named = dict(zip(("row", "reading", "group", "column"), keys, strict=True))
        rows.append({**named, "kind": "ours", "mean": mean, "std": deviation, "n": count, "diverged": diverged})
    order = ["row", "reading", "group", "column", "kind", "mean", "std", "n", "diverged", "source"]
    return pd.DataFrame(rows).reindex(columns=order)
