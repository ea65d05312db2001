"""The templates filled with the parts."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import jinja2

from reproduce.claims import VERDICTS
from reproduce.latex import Tex, escape
from reproduce.report import prose
from reproduce.report.gather import Part

CLAIMS_A_TABLE = 7
"""Claims in one verdict table: more would not fit on a page."""
WITHOUT_REPORTED = 8
"""The same where no claim has a reported value, whose column is then left out: two such tables fit on a page."""


def render(parts: Sequence[Part], templates: Path) -> str:
    """`report.tex` for these parts. Every inserted value is escaped; only `Tex` is taken as LaTeX.

    A paper with a template of its own (`sections/<paper>.tex.j2`) is set with it, any other with
    `sections/generic.tex.j2`.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=escape,
        autoescape=False,  # that is HTML's; finalize escapes for LaTeX
    )
    environment.filters |= {
        "tex": Tex,
        "listed": lambda items: prose.listed([str(item) for item in items]),
        "word": prose.word,
        "name": prose.name,
        "value": prose.value_text,
        "uncertainty": prose.uncertainty_text,
        "machine": prose.machine_text,
        "duration": prose.duration,
        "label": _label,
    }
    machines = _machines(parts)
    papers = list(dict.fromkeys(part.paper for part in parts))
    return environment.get_template("report.tex.j2").render(
        parts=parts,
        papers=papers,
        by_paper={paper: [part for part in parts if part.paper == paper] for paper in papers},
        section={paper: _section(environment, paper) for paper in papers},
        date=max((str(part.manifest.get("date") or "")[:10] for part in parts), default=""),
        verdicts=VERDICTS,
        prose=prose,
        machines=list(machines),
        letter={key: chr(ord("A") + place) for place, key in enumerate(machines)},
        machine_of=lambda part, run: prose.machine_text(run.get("machine") or part.manifest.get("machine")),
        claim_tables=_claim_tables,
        versions=_versions(parts),
        matrix=_matrix,
    )


def _section(environment: jinja2.Environment, paper: str) -> str:
    name = f"sections/{paper}.tex.j2"
    return name if name in environment.list_templates() else "sections/generic.tex.j2"


def _claim_tables(part: Part) -> list[tuple[Mapping[str, Any], ...]]:
    """The claims cut into tables of about equal length."""
    reported = any(claim["reported"] for claim in part.claims)
    tables = -(-len(part.claims) // (CLAIMS_A_TABLE if reported else WITHOUT_REPORTED))
    ends = [round(len(part.claims) * at / tables) for at in range(tables + 1)] if tables else []
    return [part.claims[start:end] for start, end in pairwise(ends)]


def _label(text: str) -> Tex:
    """A LaTeX label or file name: what may not stand in one becomes a hyphen."""
    return Tex("".join(character if character.isalnum() or character in "-:./" else "-" for character in text))


def _machines(parts: Sequence[Part]) -> dict[str, None]:
    """Every machine of these results, in order of appearance."""
    found: dict[str, None] = {}
    for part in parts:
        found[prose.machine_text(part.manifest.get("machine"))] = None
        for run in part.runs:
            found[prose.machine_text(run.get("machine") or part.manifest.get("machine"))] = None
    return found


def _versions(parts: Sequence[Part]) -> list[tuple[Part, list[tuple[str, str]]]]:
    return [
        (part, sorted((str(name), str(version)) for name, version in (part.manifest.get("versions") or {}).items()))
        for part in parts
    ]


def _matrix(parts: Sequence[Part]) -> list[tuple[Mapping[str, Any], list[str | None]]]:
    """For claims that stand at several scales: the claim, and its verdict in each part (None where it has none)."""
    claims: dict[str, Mapping[str, Any]] = {}
    for part in parts:
        for claim in part.claims:
            claims.setdefault(str(claim["id"]), claim)
    rows = []
    for name, claim in claims.items():
        verdicts = [next((str(c["verdict"]) for c in part.claims if str(c["id"]) == name), None) for part in parts]
        rows.append((claim, verdicts))
    return rows
