"""Tables on disk: booktabs LaTeX and CSV."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bsgap.errors import UsageError
from bsgap.files import write_text
from reproduce.latex import escape, number

ABSENT = "–"


@dataclass(frozen=True)
class Table:
    """A table ready to be written.

    Attributes:
        tex: The `tabular` alone; caption and placing are the report's.
        frame: What the CSV holds: numbers as numbers.
    """

    tex: str
    frame: pd.DataFrame


def plain_table(frame: pd.DataFrame) -> Table:
    """A frame as it stands: its columns, its rows, without the index.

    Column names that are pairs (group, column), as of a MultiIndex of two levels, get a heading that spans the group.
    Text columns are set flush left, numbers flush right with three significant digits; integers as they are; missing
    values as a dash.

    Raises:
        UsageError: The frame has no column.
    """
    if frame.shape[1] == 0:
        raise UsageError("plain_table got a frame without columns: there is nothing to print")
    columns = [(str(name[0]), str(name[1])) if isinstance(name, tuple) else ("", str(name)) for name in frame.columns]
    left = ["l" if pd.api.types.is_string_dtype(frame.iloc[:, at]) else "r" for at in range(len(columns))]
    head = [*group_head(columns, width=1, before=0), " & ".join(escape(column) for _, column in columns) + r" \\"]
    body = [" & ".join(escape(_shown(value)) for value in row) + r" \\" for row in frame.itertuples(index=False)]
    return Table(tabular("".join(left), head, body), frame)


def save_table(table: Table, folder: Path, name: str) -> dict[str, Path]:
    """Write `name.tex` and `name.csv` into `folder`, each whole or not at all; the paths are under "tex" and "csv"."""
    paths = {kind: folder / f"{name}.{kind}" for kind in ("tex", "csv")}
    write_text(paths["tex"], table.tex)
    write_text(paths["csv"], table.frame.to_csv(index=False, float_format="%.6g"))
    return paths


def group_head(columns: Sequence[tuple[str, str]], *, width: int, before: int) -> list[str]:
    """The line of headings that span columns, and the rules under them; nothing when no column has a group.

    Args:
        columns: (group, column) in order, the columns of a group side by side.
        width: LaTeX columns that each of them takes.
        before: LaTeX columns at the left that have no group.
    """
    if not any(group for group, _ in columns):
        return []
    titles, rules, place = [""] * before, "", before + 1
    for group in dict.fromkeys(group for group, _ in columns):
        span = width * sum(1 for other, _ in columns if other == group)
        titles.append(rf"\multicolumn{{{span}}}{{c}}{{{escape(group)}}}")
        rules += rf"\cmidrule(lr){{{place}-{place + span - 1}}}" if group else ""
        place += span
    return [" & ".join(titles) + r" \\", rules]


def tabular(columns: str, head: Sequence[str], body: Sequence[str]) -> str:
    """A booktabs `tabular` with these column letters, heading lines and body lines."""
    lines = [rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}", r"\toprule", *head, r"\midrule", *body, r"\bottomrule"]
    return "\n".join([*lines, r"\end{tabular}", ""])


def _shown(value: object) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and pd.isna(value)):
        return ABSENT
    return number(value) if isinstance(value, float) else str(value)
