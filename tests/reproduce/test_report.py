import json
import re
import shutil
import subprocess

import pytest
import synthetic_results as synthetic

from bsgap.errors import UsageError
from reproduce.claims import VERDICTS
from reproduce.latex import Tex, escape, number, spread
from reproduce.report import build, build_report, gather, prose, templates_folder

NEEDS_TEX = pytest.mark.skipif(
    shutil.which("latexmk") is None or shutil.which("pdflatex") is None,
    reason="THE REPORT'S PDF IS NOT TESTED: install latexmk and a TeX Live with IEEEtran",
)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two scales of one paper, the larger one published."""
    root = tmp_path_factory.mktemp("results")
    synthetic.write(root, "laptop", published=True)
    synthetic.write(root, "demo")
    return root


@pytest.fixture
def copy(results, tmp_path):
    """A copy of the results that a test may break."""
    return shutil.copytree(results, tmp_path / "copy", ignore=shutil.ignore_patterns("report"))


def claim(**changes):
    whole = {
        "id": "x", "statement": "LB is sharper.", "source": "Table 3", "reported": "167 (D, from P)", "measured": 8.1,
        "uncertainty": [6.2, 10.6], "n_seeds": 3, "rule": "ratio above 2, at least 3 seeds", "verdict": "reproduced",
        "scale": "demo",
    }  # fmt: skip
    return {**whole, **changes}


# LaTeX ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "want"),
    [
        (
            "a_b & 50 % of $x^2$ #1 ~{\\",
            r"a\_b \& 50 \% of \$x\textasciicircum{}2\$ \#1 \textasciitilde{}\{\textbackslash{}",
        ),
        ("ε = 10⁻³", r"\ensuremath{\epsilon} = 10\ensuremath{^{-3}}"),
        ("[P] --scale", "{[}P{]} -{}-scale"),
        ("1–2 “q” é ő ﬁ 日", r"1\textendash{}2 ``q'' é ő fi ?"),
        ("two\nlines", "two lines"),
        (None, ""),
        (Tex(r"\emph{x}"), r"\emph{x}"),
    ],
)
def test_every_character_prints_itself(text, want):
    assert escape(text) == want


@pytest.mark.parametrize(
    ("value", "want"),
    [(0.0, "0"), (0.012345, "0.0123"), (9.996, "10.0"), (312.4, "312"), (-3.0, "−3.00"), (1.23e-5, "1.23×10⁻⁵"), (2e7, "2.00×10⁷"),
     (float("nan"), "–"), (float("-inf"), "−∞")],
)  # fmt: skip
def test_numbers_have_three_digits(value, want):
    assert number(value) == want


def test_mean_and_deviation_share_their_decimals():
    assert spread(205.14, 69.52) == "205 ± 70"
    assert spread(0.00512, 0.00121) == "0.0051 ± 0.0012"
    assert spread(99.66, 0.05, decimals=2) == "99.66 ± 0.05"
    assert spread(3.2, None) == "3.20"
    assert spread(2e-8, 1e-9) == "2.00×10⁻⁸ ± 1.0×10⁻⁹"
    assert spread(float("nan"), 1.0) == "–"


# What is on disk -----------------------------------------------------------------------------------------------------
def test_the_published_study_comes_first(results, tmp_path):
    parts = gather([results])
    assert [(part.paper, part.scale, part.published) for part in parts] == [
        ("keskar", "laptop", True),
        ("keskar", "demo", False),
    ]
    assert [exhibit.name for exhibit in parts[0].exhibits][-2:] == ["table2", "table3"]
    assert not parts[0].missing
    synthetic_only = shutil.copytree(results / "keskar" / "demo", tmp_path / "other" / "keskar" / "paper")
    manifest = json.loads((synthetic_only / "manifest.json").read_text())
    (synthetic_only / "manifest.json").write_text(json.dumps({**manifest, "scale": "paper", "runs": []}))
    assert [part.scale for part in gather([results, tmp_path / "other"])] == ["laptop", "paper", "demo"]


def test_no_results_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="run `reproduce keskar` first"):
        gather([tmp_path])


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("manifest.json", "{", "cannot be read"),
        ("manifest.json", "[]", "expected a dict"),
        ("claims.json", '{"a": 1}', "expected a list"),
        ("claims.json", '[{"id": "a", "statement": "b", "verdict": "perhaps"}]', "a verdict of reproduced"),
    ],
)
def test_files_that_are_broken_are_named(copy, name, text, words):
    (copy / "keskar" / "demo" / name).write_text(text)
    with pytest.raises(UsageError, match=words) as raised:
        gather([copy])
    assert str(copy / "keskar" / "demo" / name) in str(raised.value)


def test_a_missing_claims_file_is_named(copy):
    (copy / "keskar" / "demo" / "claims.json").unlink()
    with pytest.raises(UsageError, match=r"claims\.json is missing"):
        gather([copy])


def test_a_missing_figure_is_said_and_does_not_stop_the_report(copy):
    (copy / "keskar" / "laptop" / "figures" / "fig5.pdf").unlink()
    tex = build(copy, run_latex=False).tex.read_text()
    assert "missing on disk, and so not shown: fig5" in tex
    assert "keskar-laptop-fig5" not in tex


# Sentences -----------------------------------------------------------------------------------------------------------
def test_counts_are_sentences():
    kinds = {verdict: claim(verdict=verdict) for verdict in VERDICTS}
    assert prose.counts_sentence([]) == "No claim was declared."
    assert prose.counts_sentence([kinds["not run"]]) == "The one claim was not run."
    assert prose.counts_sentence([kinds["reproduced"]] * 13) == "All 13 claims are reproduced."
    mixed = [kinds["reproduced"]] * 2 + [kinds["inconclusive"], kinds["not run"], kinds["not reproduced"]]
    assert prose.counts_sentence(mixed) == (
        "Of the five claims, two are reproduced, one is not reproduced, one is inconclusive and one was not run."
    )


def test_a_claim_is_printed_with_its_numbers():
    assert (
        prose.result_phrase(claim()) == "LB is sharper (8.10 [6.20, 10.6], n\u00a0=\u00a03; reported 167 (D, from P))"
    )
    empty = claim(verdict="not run", measured=None, uncertainty=None, n_seeds=0, reported=None)
    assert prose.result_phrase(empty) == "LB is sharper"
    assert prose.result_phrase(claim(uncertainty=None, n_seeds=1)).startswith("LB is sharper (8.10, n\u00a0=\u00a01;")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "on the claim's side"),
        ({"verdict": "not reproduced"}, "on the other side"),
        ({"verdict": "not run"}, "no run"),
        ({"verdict": "inconclusive", "n_seeds": 2}, "fewer seeds than the rule asks for"),
        (
            {"verdict": "inconclusive", "rule": "above 1, at least 5 seeds", "n_seeds": 4},
            "fewer seeds than the rule asks for",
        ),
        (
            {"verdict": "inconclusive", "rule": "above 1, at least 3 seeds; 1 left out because a run diverged"},
            "a run diverged",
        ),
        ({"verdict": "inconclusive"}, "the interval holds the declared limit"),
    ],
)
def test_every_verdict_has_its_reason(changes, words):
    assert words in prose.reason(claim(**changes))


def test_readings_of_one_claim_are_set_side_by_side():
    letter = claim(id="x-a-end", statement="LB is sharper, to the letter", verdict="inconclusive", measured=1.5)
    absent = claim(id="x-b-end", statement="LB is sharper, stronger", verdict="not run")
    other = claim(id="y", statement="Another")
    assert prose.readings([claim(), letter, absent, other]) == [
        "LB is sharper: reproduced as declared (8.10) and inconclusive to the letter (1.50). "
        "The verdict depends on the reading."
    ]
    assert prose.readings([claim(), {**letter, "verdict": "reproduced"}])[0].endswith("is the same in every reading.")
    assert prose.readings([claim(verdict="inconclusive"), letter])[0].endswith("No reading settles it.")
    assert prose.readings([claim(), absent, other]) == []


def test_small_words():
    assert prose.listed(["a", "b", "c"]) == "a, b and c"
    assert prose.grouped(["F2: licensed", "C2: slow", "C3: slow", "C4"]) == "F2 (licensed); C2 and C3 (slow); C4"
    assert [prose.duration(seconds) for seconds in (40, 720, 12240)] == ["40 s", "12 min", "3.4 h"]
    assert (
        prose.machine_text({"processor": "CPU", "cores": 1, "memory_gib": 8.0}) == "CPU, 1 core, 8 GiB, no accelerator"
    )
    assert prose.machine_text(None) == "not recorded"
    assert prose.value_text({"SB": 0.5, "LB": 12.0}) == "SB 0.500, LB 12.0"


# The source ----------------------------------------------------------------------------------------------------------
def test_the_source_holds_every_claim_figure_table_and_run(results):
    tex = build(results, run_latex=False).tex.read_text()
    for part in gather([results]):
        for record in part.claims:
            assert escape(record["statement"]) in tex
            assert escape(record["rule"]) in tex
        for exhibit in part.exhibits:
            assert (results / "report" / exhibit.target).read_bytes() == exhibit.file.read_bytes()
            assert f"{{{exhibit.target}}}" in tex
            assert rf"\ref{{{exhibit.label}}}" in tex
        for run in part.runs:
            assert run["id"] in tex
    assert tex.count(prose.counts_sentence(gather([results])[0].claims)) >= 3  # abstract, section, discussion
    for words in ("Not run here: F2 (TIMIT is licensed); C2 and C3 (too slow)", "analogue", "[P]"):
        assert words in tex
    assert r"Another \& faster\_CPU 100 \%" in tex
    assert "<<" not in tex
    assert "<%" not in tex


def test_nasty_text_is_escaped(copy):
    path = copy / "keskar" / "demo" / "claims.json"
    nasty = r"\input{/etc/passwd} 100% $x_1$ & {#} <<7>> <% if %>"
    path.write_text(json.dumps([claim(statement=nasty, source=nasty, reported=nasty, rule=nasty)]))
    tex = build(copy, run_latex=False).tex.read_text()
    assert r"\input{/etc/passwd}" not in tex
    assert escape(nasty) in tex


def test_a_paper_without_a_section_of_its_own_gets_the_general_one(copy):
    shutil.copytree(copy / "keskar" / "demo", copy / "unheard" / "demo")
    path = copy / "unheard" / "demo" / "manifest.json"
    title = "Train Longer, Generalize Better"
    path.write_text(json.dumps({**json.loads(path.read_text()), "paper": "unheard", "title": title}))
    tex = build(copy, run_latex=False).tex.read_text()
    assert rf"\section{{{title}}}" in tex
    assert tex.index(r"\section{Keskar et al.") < tex.index(rf"\section{{{title}}}")


def test_a_bare_manifest_is_enough(tmp_path):
    folder = tmp_path / "keskar" / "demo"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"paper": "keskar", "scale": "demo"}))
    (folder / "claims.json").write_text("[]")
    tex = build(tmp_path, run_latex=False).tex.read_text()
    assert "No claim was declared." in tex


def test_every_work_cited_is_in_the_bibliography():
    templates = templates_folder()
    sources = [path.read_text() for path in templates.rglob("*.j2")]
    cited = {key for text in sources for group in re.findall(r"\\cite\{([^}]*)\}", text) for key in group.split(",")}
    known = set(re.findall(r"^@\w+\{([^,]+),", (templates / "references.bib").read_text(), re.MULTILINE))
    assert cited == known


# The PDF -------------------------------------------------------------------------------------------------------------
def test_without_tex_the_source_is_ready_and_one_line_says_what_to_install(results, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert build_report(results) == 0
    said = capsys.readouterr().out
    assert "is written, not built" in said
    assert "texlive-publishers" in said
    assert said.count("\n") == 1
    assert (results / "report" / "report.tex").exists()


@NEEDS_TEX
def test_the_report_builds_without_complaint(results):
    made = build(results)
    assert made.state == "built", made.message
    assert made.overfull == ()
    log = made.tex.with_suffix(".log").read_text(encoding="latin-1")
    assert not re.findall(r"(?:Reference|Citation) `[^']*' .* undefined|multiply defined|Missing character", log)
    assert made.pdf.read_bytes().startswith(b"%PDF")
    if shutil.which("pdftotext"):
        text = subprocess.run(["pdftotext", made.pdf, "-"], capture_output=True, text=True, check=True).stdout
        for words in ("The bsgap authors", "Fig. 12.", "TABLE X", "Golmant", "not reproduced"):
            assert words in text
        assert "??" not in text


@NEEDS_TEX
def test_a_table_that_tex_cannot_set_is_an_error_with_its_first_line(copy, capsys):
    (copy / "keskar" / "demo" / "tables" / "table2.tex").write_text(r"\begin{tabular}{l}\nosuchmacro\\\end{tabular}")
    assert build_report(copy) == 1
    assert "Undefined control sequence" in capsys.readouterr().out
    assert not (copy / "report" / "report.pdf").exists()
