"""Checks and summaries of the tidy frames that the figures take."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bsgap.errors import UsageError


def need(frame: pd.DataFrame, columns: Sequence[str], figure: str) -> pd.DataFrame:
    """`frame`, when it has the columns and at least one row.

    Raises:
        UsageError: A column is missing, or there is nothing to draw.
    """
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise UsageError(
            f"{figure} needs the columns {', '.join(columns)}; missing: {', '.join(missing)} "
            f"(there are {', '.join(map(str, frame.columns)) or 'none'})"
        )
    if frame.empty:
        raise UsageError(f"{figure} got an empty frame: draw it only when at least one run is there")
    return frame


def need_per_cent(frame: pd.DataFrame, columns: Sequence[str], figure: str) -> None:
    """Refuse accuracies that are fractions: on a per-cent axis they would draw a flat line at the bottom.

    Raises:
        UsageError: A column has values, and none is above 1 (or one is above 100).
    """
    for name in columns:
        top = frame[name].max()
        if np.isfinite(top) and not 1.0 < top <= 100.0 + 1e-6:
            raise UsageError(f"{figure}: {name} must be per cent, got values up to {top:g}; multiply fractions by 100")


def order(frame: pd.DataFrame, column: str) -> list[str]:
    """The values of a column in order of appearance."""
    return [str(value) for value in frame[column].unique()]


def readings(frame: pd.DataFrame) -> list[str]:
    """The readings of a frame, [""] where it has no such column."""
    return order(frame, "reading") if "reading" in frame.columns else [""]


def of_reading(frame: pd.DataFrame, reading: str) -> pd.DataFrame:
    """The rows of one reading; the whole frame where there is no such column."""
    return frame[frame["reading"] == reading] if "reading" in frame.columns else frame


def band(frame: pd.DataFrame, x: str, y: str, *, log: bool = False) -> pd.DataFrame:
    """Mean and one standard deviation over seeds at each `x`.

    Non-finite values are left out, as are values <= 0 when `log`. With `log`, mean and deviation are those of ln y,
    so that the band is symmetric on the axis and never reaches zero. One value has no deviation: its band has no
    width.

    Returns:
        Columns x, mean, low, high, n; sorted by x.
    """
    values = frame[[x, y]].astype(float)
    values = values[np.isfinite(values[y]) & ((values[y] > 0) if log else True)]
    grouped = values.assign(**{y: np.log(values[y])} if log else {}).groupby(x)[y]
    mean, deviation = grouped.mean(), grouped.std(ddof=1).fillna(0.0)
    back = np.exp if log else (lambda values: values)
    return pd.DataFrame(
        {
            "x": mean.index.to_numpy(float),
            "mean": back(mean.to_numpy()),
            "low": back((mean - deviation).to_numpy()),
            "high": back((mean + deviation).to_numpy()),
            "n": grouped.count().to_numpy(),
        }
    )


def left_out(frame: pd.DataFrame, *, columns: Sequence[str], log: Sequence[str] = ()) -> list[str]:
    """Remarks for the footer: how many rows have a value that is not drawn."""
    remarks = []
    lost = int((~np.isfinite(frame[list(columns)].astype(float))).any(axis=1).sum())
    if lost:
        remarks.append(f"{lost} value{'s' if lost > 1 else ''} not finite (diverged), left out")
    low = int((frame[list(log)].astype(float) <= 0).any(axis=1).sum()) if log else 0
    if low:
        remarks.append(f"{low} value{'s' if low > 1 else ''} ≤ 0, left out of the logarithmic axis")
    return remarks


def band_remark(frame: pd.DataFrame, *, log: bool) -> str:
    """What the bands are, or "" where there is one seed and so no band."""
    if frame["seed"].nunique() < 2:
        return ""
    return "band: mean ± 1 std over seeds" + (" (of the logarithm on log axes)" if log else "")
