"""The figure of densities of eigenvalues."""

import numpy as np
import pandas as pd
import pytest

from bsgap.errors import UsageError
from reproduce.drawing import Footer, spectra

FOOTER = Footer("demo", "made up", 2, "running", "no machine", [], ())


def frame(tops=(24.0, 1.0)):
    parts = []
    for arm, top in zip(("SGD", "SAM"), tops, strict=True):
        for seed in range(2):
            grid = np.linspace(-0.1 * top, top, 21)
            density = np.exp(-60 * grid / top)
            parts.append(pd.DataFrame({
                "panel": "network", "arm": arm, "seed": seed, "eigenvalue": grid, "density": density, "top": top,
            }))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def test_every_seed_has_a_line_and_a_tick_at_its_largest_eigenvalue():
    axis = spectra(frame(), FOOTER).axes[0]
    assert axis.get_yscale() == "log"
    lines = [line for line in axis.lines if len(line.get_xdata()) == 21]
    ticks = [line.get_xdata()[0] for line in axis.lines if line.get_marker() == "|"]
    assert (len(lines), ticks) == (4, [24.0, 24.0, 1.0, 1.0])
    assert [list(line.get_xdata()) for line in axis.lines if len(line.get_xdata()) == 2] == [[0.0, 0.0]]  # zero


def test_tails_far_below_the_peak_are_not_drawn():
    axis = spectra(frame(), FOOTER).axes[0]
    line = next(line for line in axis.lines if len(line.get_xdata()) == 21)
    assert np.isnan(line.get_ydata()[-1])
    assert np.isfinite(line.get_ydata()[0])


def test_the_largest_eigenvalue_is_optional():
    axis = spectra(frame().drop(columns="top"), FOOTER).axes[0]
    assert not [line for line in axis.lines if line.get_marker() == "|"]


@pytest.mark.parametrize("bad", [frame().drop(columns="density"), frame().iloc[:0]])
def test_a_frame_that_says_nothing_is_refused(bad):
    with pytest.raises(UsageError, match="spectra"):
        spectra(bad, FOOTER)
