"""A figure on disk: PDF for the report, PNG to look at, and the CSV of what is drawn."""

import os
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from reproduce.drawing.style import styled


@styled
def save(figure: Figure, folder: Path, name: str, frame: pd.DataFrame) -> dict[str, Path]:
    """Write `name.pdf`, `name.png` (300 dpi) and `name.csv` (the frame that is drawn) into `folder`.

    Each file appears whole or not at all, and the same figure gives the same bytes (no dates inside).

    Returns:
        The paths under "pdf", "png" and "csv".
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {kind: folder / f"{name}.{kind}" for kind in ("pdf", "png", "csv")}
    aside = {kind: path.with_name(f".{path.name}.part") for kind, path in paths.items()}
    figure.savefig(aside["pdf"], format="pdf", metadata={"CreationDate": None, "Title": name})
    figure.savefig(aside["png"], format="png", dpi=300)
    frame.to_csv(aside["csv"], index=False, float_format="%.6g")
    for kind, path in paths.items():
        os.replace(aside[kind], path)
    return paths
