"""The section of the report on hoffer, from made-up runs."""

import json

import pytest
from hoffer_runs import Synthetic, plan

from reproduce import drawing
from reproduce.claims import write_claims
from reproduce.papers import hoffer
from reproduce.report import build


@pytest.fixture(scope="module")
def section(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    results = Synthetic(plan("laptop"))
    folder = root / "hoffer" / "laptop"
    tables = []
    for artifact in hoffer.STUDY.artifacts:
        if artifact.kind == "table":
            (folder / "tables").mkdir(parents=True, exist_ok=True)
            table, _ = artifact.draw(results.plan, results)
            path = drawing.save_table(table, folder / "tables", artifact.name)["tex"]
            about = {"name": artifact.name, "title": artifact.title, "caption": artifact.caption}
            tables.append(about | {"tex": str(path.relative_to(folder))})
    write_claims(folder / "claims.json", hoffer.STUDY.claims(results.plan, results))
    manifest = {
        "paper": "hoffer", "title": hoffer.STUDY.title, "citation": hoffer.STUDY.citation, "scale": "laptop",
        "date": "2026-01-01", "commit": "0", "machine": {}, "versions": {}, "jobs": 1, "seeds": {"ResNet44": 3},
        "runs": {}, "figures": [], "tables": tables, "claims_file": "claims.json", "not_run": [], "not_drawn": [],
        "notes": hoffer.STUDY.notes(results.plan),
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    tex = build(root, run_latex=False).tex.read_text()
    start = tex.index(r"\section{Hoffer et al.")
    return tex[start : tex.index(r"\section{", start + 1)]


def test_hoffer_has_a_section_of_its_own(section):
    for words in (
        r"\subsection{Results at laptop scale}", "85.2",  # the manifest's notes
        "with as many updates the large batch generalises as well", "{tab:hoffer-laptop-table1}",
    ):  # fmt: skip
        assert words in section
    assert "<%" not in section
    assert "<<" not in section


def test_it_cites_what_the_bibliography_has(section):
    for key in ("hoffer2017", "goyal2017", "shallue2019"):
        assert key in section
