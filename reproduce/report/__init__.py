"""The report: results on disk -> LaTeX -> PDF.

`build(results)` (and `build_report`, the command around it) reads every `<paper>/<scale>/manifest.json` below the
results folder, with the claims, tables and figures that it names, fills the templates of `paper/templates`, and runs
latexmk on the outcome. It computes no number of its own but counts and sums; a sentence that states a verdict is
generated from `claims.json`.
"""

from reproduce.report.gather import Part, gather
from reproduce.report.pdf import Built, build, build_report, templates_folder

__all__ = ["Built", "Part", "build", "build_report", "gather", "templates_folder"]
