"""A surface as a file that other tools read: CSV for tables and plots, legacy VTK for ParaView and its kin."""

import csv
import io
import math
from collections.abc import Iterable
from pathlib import Path

from bsgap.errors import UsageError
from bsgap.files import write_text
from bsgap.measures.surface import Surface


def write_csv(found: Surface, path: Path | str) -> None:
    """Write the grid as a tidy CSV: alpha, beta (of a plane), split, loss, accuracy; a row a point and split.

    Numbers are written so that reading gives the same ones. An accuracy that there is not is an empty cell. The file
    appears whole or not at all.

    Raises:
        UsageError: The folder cannot be written to.
    """
    text = io.StringIO()
    rows = found.rows()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(Path(path), text.getvalue())


def write_vtk(found: Surface, path: Path | str, split: str | None = None, height: float | None = None) -> None:
    """Write a plane as a structured grid in VTK's legacy ASCII format, version 3.0.

    The points are (α, β, z) with z the loss, so that a viewer shows the surface at once, and `loss` and `accuracy` are
    their scalars. Where the loss is not finite z is as high as anywhere. The file appears whole or not at all.

    Args:
        found: A surface over two directions.
        path: The file, `.vtk` by custom.
        split: Which of its splits; None for the first.
        height: z is at most this, for a loss that explodes towards the rim; None for no limit.

    Raises:
        UsageError: The surface is a line, has no such split, or the folder cannot be written to.
    """
    if found.betas is None:
        raise UsageError("VTK files are for surfaces over two directions, and this one is a line: write a CSV.")
    split = next(iter(found.losses)) if split is None else split
    if split not in found.losses:
        raise UsageError(f"split must be one of {', '.join(found.losses)}, got {split!r}.")
    places = [(i, j) for j in range(len(found.betas)) for i in range(len(found.alphas))]  # VTK's order: α runs first
    losses = [found.losses[split][i][j] for i, j in places]
    highest = max((loss for loss in losses if math.isfinite(loss)), default=0.0)
    top = highest if height is None else min(height, highest)
    heights = [min(loss, top) if math.isfinite(loss) else top for loss in losses]
    points = (f"{found.alphas[i]!r} {found.betas[j]!r} {z!r}" for (i, j), z in zip(places, heights, strict=True))
    lines = [
        "# vtk DataFile Version 3.0",
        f"loss over alpha and beta, {split}, {found.statistics} statistics"[:255],
        "ASCII",
        "DATASET STRUCTURED_GRID",
        f"DIMENSIONS {len(found.alphas)} {len(found.betas)} 1",
        f"POINTS {len(places)} double",
        *points,
        f"POINT_DATA {len(places)}",
        *_scalars("loss", losses),
    ]
    accuracies = [found.accuracies[split][i][j] for i, j in places]
    if None not in accuracies:
        lines += _scalars("accuracy", accuracies)
    write_text(Path(path), "\n".join(lines) + "\n")


def _scalars(name: str, values: Iterable[float]) -> list[str]:
    return [f"SCALARS {name} double 1", "LOOKUP_TABLE default", *(repr(float(value)) for value in values)]
