"""The section of the report on li, from made-up results."""

import json

import pytest
from rate_runs import plan
from test_li_study import Pictures

from reproduce import drawing
from reproduce.claims import write_claims
from reproduce.papers.li import STUDY
from reproduce.report import build


@pytest.fixture(scope="module")
def section(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    folder, chosen, tables = root / "li" / "laptop", plan(STUDY, "laptop"), []
    for artifact in STUDY.artifacts:
        if artifact.kind == "table":
            (folder / "tables").mkdir(parents=True, exist_ok=True)
            table, _ = artifact.draw(chosen, Pictures())
            path = drawing.save_table(table, folder / "tables", artifact.name)["tex"]
            about = {"name": artifact.name, "title": artifact.title, "caption": artifact.caption}
            tables.append(about | {"tex": str(path.relative_to(folder))})
    write_claims(folder / "claims.json", STUDY.claims(chosen, Pictures()))
    manifest = {
        "paper": "li", "title": STUDY.title, "citation": STUDY.citation, "scale": "laptop", "date": "2026-01-01",
        "commit": "0", "machine": {}, "versions": {}, "jobs": 1, "seeds": {"VGG-9": 3}, "runs": {}, "figures": [],
        "tables": tables, "claims_file": "claims.json", "not_run": [], "not_drawn": [], "notes": STUDY.notes(chosen),
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    tex = build(root, run_latex=False).tex.read_text()
    start = tex.index(r"\section{Li et al.")
    return tex[start : tex.index(r"\section{", start + 1)]


def test_li_has_a_section_of_its_own(section):
    for words in (
        r"\subsection{Results at laptop scale}", "exp(2.9) with the small batch", "11.07", "{tab:li-laptop-sharpness}",
        "the raw interpolation misleads",
    ):  # fmt: skip
        assert words in section
    assert "<%" not in section
    assert "<<" not in section


@pytest.mark.parametrize("key", ["keskar2017", "li2018", "dinh2017"])
def test_it_cites_what_the_bibliography_has(section, key):
    assert rf"\cite{{{key}}}" in section
