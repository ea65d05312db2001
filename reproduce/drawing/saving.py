"""A figure on disk: PDF for the report, PNG to look at, and the CSV of what is drawn."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from bsgap.files import whole
from reproduce.drawing.style import styled


@styled
def save(figure: Figure, folder: Path, name: str, frame: pd.DataFrame) -> dict[str, Path]:
    """Write `name.pdf`, `name.png` (300 dpi) and `name.csv` (the frame that is drawn) into `folder`.

    Each file appears whole or not at all, and the same figure gives the same bytes (no dates inside).

    Returns:
        The paths under "pdf", "png" and "csv".
    """
    paths = {kind: folder / f"{name}.{kind}" for kind in ("pdf", "png", "csv")}
    with whole(paths["pdf"]) as aside:
        figure.savefig(aside, format="pdf", metadata={"CreationDate": None, "Title": name})
    with whole(paths["png"]) as aside:
        figure.savefig(aside, format="png", dpi=300)
    with whole(paths["csv"]) as aside:
        frame.to_csv(aside, index=False, float_format="%.6g")
    return paths
