import re
import shutil

import pytest
import synthetic_golmant as synthetic

from reproduce.report import build

NEEDS_TEX = pytest.mark.skipif(
    shutil.which("latexmk") is None or shutil.which("pdflatex") is None,
    reason="THE SECTION ON GOLMANT'S PDF IS NOT TESTED: install latexmk and a TeX Live with IEEEtran",
)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    synthetic.write(root)
    return root


def test_golmant_has_a_section_of_its_own(results):
    tex = build(results, run_latex=False).tex.read_text()
    start = tex.index(r"\section{Golmant et al.")
    section = tex[start : tex.index(r"\section{", start + 1)]
    for words in (
        "All numbers of this part are synthetic",  # the manifest's notes
        r"\subsection{Where the paper contradicts itself}",
        r"\subsection{Results at laptop scale}",
        "{fig:golmant-laptop-fig2left}",
        "past the linear regime the total cost rises",
    ):
        assert words in section
    assert "<%" not in section
    assert "<<" not in section


@NEEDS_TEX
def test_its_pdf_builds_without_complaint(results):
    made = build(results)
    assert made.state == "built", made.message
    assert made.overfull == ()
    log = made.tex.with_suffix(".log").read_text(encoding="latin-1")
    assert not re.findall(r"(?:Reference|Citation) `[^']*' .* undefined|multiply defined|Missing character", log)
