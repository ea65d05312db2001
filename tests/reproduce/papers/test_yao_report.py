"""The sections of the report on yao and jastrzebski, with claims and without any run."""

import json

import pytest
from rate_runs import Made, plan

from reproduce.claims import write_claims
from reproduce.papers import study
from reproduce.report import build

TITLES = {"yao": r"\section{Yao: the Hessian", "jastrzebski": r"\section{Jastrzebski: learning rate"}
CITED = {
    "yao": ("yao2018", "goodfellow2015", "dinh2017"),
    "jastrzebski": ("jastrzebski2017", "li2018"),
}


def write(root, paper, scale):
    """Results of a study of which nothing has been run."""
    found, chosen = study(paper), plan(study(paper), scale)
    folder = root / paper / scale
    folder.mkdir(parents=True)
    write_claims(folder / "claims.json", found.claims(chosen, Made(lambda trial: None)))
    manifest = {
        "paper": paper, "title": found.title, "citation": found.citation, "scale": scale, "date": "2026-01-01",
        "commit": "0", "machine": {}, "versions": {}, "jobs": 1, "seeds": dict(chosen.seeds), "runs": {}, "figures": [],
        "tables": [], "claims_file": "claims.json", "not_run": [f"{n}: {why}" for n, why in chosen.not_run.items()],
        "not_drawn": [artifact.name for artifact in found.artifacts], "notes": found.notes(chosen),
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture(scope="module", params=[("yao",), ("jastrzebski",), ("yao", "jastrzebski")], ids="+".join)
def report(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    for paper in request.param:
        for scale in ("laptop", "demo"):
            write(root, paper, scale)
    return request.param, build(root, run_latex=False).tex.read_text()


def test_a_paper_has_a_section_of_its_own(report):
    papers, tex = report
    for paper in papers:
        start = tex.index(TITLES[paper])
        section = tex[start : tex.index(r"\section{", start + 1)]
        assert r"\subsection{Results at laptop scale}" in section
        assert all(key in section for key in CITED[paper])
        assert "<%" not in section
        assert "<<" not in section


def test_a_reference_to_the_other_study_stands_where_it_is_there(report):
    papers, tex = report
    if "yao" in papers:
        assert (r"Section~\ref{sec:jastrzebski}" in tex) == ("jastrzebski" in papers)
    assert (r"\label{sec:jastrzebski}" in tex) == ("jastrzebski" in papers)
