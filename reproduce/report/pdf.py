"""From parts to `report.tex`, and from there to a PDF."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bsgap.errors import UsageError
from bsgap.files import write_text
from reproduce.report.gather import Part, gather
from reproduce.report.render import render

PACKAGES = (
    "latexmk texlive-latex-extra texlive-publishers texlive-fonts-recommended "
    "(with tlmgr: latexmk ieeetran cite sttools placeins booktabs xurl microtype collection-fontsrecommended)"
)
_LATEXMK = ("latexmk", "-norc", "-pdf", "-interaction=nonstopmode", "-halt-on-error", "-latexoption=-no-shell-escape")
_OVERFULL = re.compile(r"^Overfull \\hbox \(([\d.]+)pt too wide\).*$", re.MULTILINE)


@dataclass(frozen=True)
class Built:
    """What `build` left.

    Attributes:
        state: "built", "written, not built" (no TeX on this machine), or "failed" (TeX stopped).
        tex: The LaTeX source.
        pdf: The report; None unless built.
        message: One line for the user.
        overfull: TeX's complaints about boxes more than 2 pt too wide.
    """

    state: Literal["built", "written, not built", "failed"]
    tex: Path
    pdf: Path | None
    message: str
    overfull: tuple[str, ...] = ()


def build_report(results: Path, *, published: Sequence[Path] = ()) -> int:
    """The command `reproduce report`: build, say in one line what came of it, and return the exit code.

    The code is 0 also where there is no TeX, as the source is then complete; it is 1 when TeX stopped.
    """
    built = build(results, published=published)
    print(built.message)
    return 1 if built.state == "failed" else 0


def build(results: Path, *, published: Sequence[Path] = (), run_latex: bool = True) -> Built:
    """Write `results/report/report.tex` from all results on disk, and build the PDF beside it.

    Args:
        results: The folder that `reproduce` writes to: `<paper>/<scale>/manifest.json` and what it names.
        published: Further folders of the same layout; what is in `results` too is taken from there.
        run_latex: False writes the source only.

    Raises:
        UsageError: There are no results, or a file of theirs cannot be read.
    """
    parts = gather([results, *published])
    folder = results / "report"
    _copy(parts, folder)
    tex = folder / "report.tex"
    write_text(tex, render(parts, templates_folder()))
    shutil.copyfile(templates_folder() / "references.bib", folder / "references.bib")
    if not run_latex or shutil.which("latexmk") is None or shutil.which("pdflatex") is None:
        why = "" if not run_latex else f"; to build it install {PACKAGES} and run `latexmk -pdf` in {folder}"
        return Built("written, not built", tex, None, f"{tex} is written, not built{why}")
    return _latexmk(tex)


def templates_folder() -> Path:
    """The templates: beside the package in a wheel, in `paper/templates` in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for place in (package / "templates", package.parent / "paper" / "templates"):
        if (place / "report.tex.j2").is_file():
            return place
    raise UsageError("the report's templates are missing beside the package; install it again.")


def _copy(parts: Sequence[Part], folder: Path) -> None:
    """Copy figures and tables in, so that the folder can be sent to somebody and built there."""
    for kind in ("figures", "tables"):
        shutil.rmtree(folder / kind, ignore_errors=True)  # none of an earlier report may stay behind
        (folder / kind).mkdir(parents=True)
    for part in parts:
        for exhibit in part.exhibits:
            shutil.copyfile(exhibit.file, folder / exhibit.target)


def _latexmk(tex: Path) -> Built:
    pdf, log = tex.with_suffix(".pdf"), tex.with_suffix(".log")
    for old in (pdf, log, *(tex.with_suffix(ending) for ending in (".aux", ".bbl", ".out", ".fdb_latexmk"))):
        old.unlink(missing_ok=True)  # an old report must not pass for this one, nor its half-written notes stop it
    environment = {**os.environ, "max_print_line": "1000"}
    try:
        done = subprocess.run(
            [*_LATEXMK, tex.name],
            cwd=tex.parent,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=300,
        )
    except subprocess.TimeoutExpired:
        return Built("failed", tex, None, f"latexmk did not end within five minutes; see {log}")
    text = log.read_text(encoding="latin-1") if log.exists() else done.stdout
    if done.returncode or not pdf.exists():
        first = next((line for line in text.splitlines() if line.startswith("! ")), "! latexmk stopped")
        hint = f"; install {PACKAGES}" if "not found" in first else ""
        return Built("failed", tex, None, f"{first[2:]} ({log}){hint}")
    overfull = tuple(match.group() for match in _OVERFULL.finditer(text) if float(match.group(1)) > 2)
    return Built("built", tex, pdf, f"{pdf} is built", overfull)
