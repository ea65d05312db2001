"""The small line under every figure that says where its numbers come from."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

_CHARACTERS_PER_INCH = 31  # of 5 pt STIX
_DOT = " · "


@dataclass(frozen=True)
class Footer:
    """What a reader must know before believing a figure.

    Attributes:
        scale: "demo", "laptop", "gpu" or "paper".
        data: Network and data, with the word analogue where they are not the paper's: "F1 on digits (analogue)".
        seeds: Number of seeds, or a phrase where it differs: "F1: 5 seeds, C1: 3 seeds".
        statistics: BatchNorm statistics of the measures: "batch", "running", "recomputed", or "" where none were used.
        machine: Machine class, such as "2-core CPU"; never a host name.
        not_run: Networks of the paper's figure that were not run, named instead of drawn empty.
        notes: Further remarks, one phrase each.
    """

    scale: str
    data: str
    seeds: int | str
    statistics: str = ""
    machine: str = ""
    not_run: Sequence[str] = ()
    notes: Sequence[str] = ()

    def text(self, *extra: str) -> str:
        """The line: parts joined by middle dots; `extra` are remarks that the drawing function adds."""
        parts = [
            f"scale {self.scale}",
            self.data,
            self.seeds if isinstance(self.seeds, str) else f"{self.seeds} seed{'s' if self.seeds != 1 else ''}",
            f"BatchNorm in evaluation: {self.statistics} statistics" if self.statistics else "",
            self.machine,
            f"not run: {', '.join(self.not_run)}" if self.not_run else "",
            *self.notes,
            *extra,
        ]
        return _DOT.join(part for part in parts if part)


def put(figure: Figure, footer: Footer, *extra: str) -> None:
    """Write the footer under the panels; it takes part in the layout, so it overlaps nothing."""
    width = int(figure.get_size_inches()[0] * _CHARACTERS_PER_INCH)
    lines: list[str] = []
    for part in footer.text(*extra).split(_DOT):
        # break between parts; inside one only where it is longer than a line
        if lines and len(lines[-1]) + len(_DOT) + len(part) <= width:
            lines[-1] += _DOT + part
        else:
            lines += textwrap.wrap(part, width)
    # supxlabel, not text: constrained layout makes room for it
    figure.supxlabel("\n".join(lines), x=0.008, ha="left", fontsize=5, color="#555555", linespacing=1.25)
