"""What is on disk for the report: one `Part` for each paper and scale that has results."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bsgap.errors import UsageError
from reproduce.claims import VERDICTS
from reproduce.study import SCALES

_MANIFEST: Mapping[str, Any] = dict.fromkeys(
    (
        "title",
        "citation",
        "date",
        "commit",
        "machine",
        "versions",
        "jobs",
        "seeds",
        "runs",
        "not_run",
        "not_drawn",
        "notes",
    )
)
_CLAIM: Mapping[str, Any] = dict.fromkeys(("source", "reported", "measured", "uncertainty", "n_seeds", "rule", "scale"))
_RUN: Mapping[str, Any] = dict.fromkeys(("id", "label", "status", "published", "seconds", "machine"))


@dataclass(frozen=True)
class Exhibit:
    """A figure or a table of one part.

    Attributes:
        kind: "figure" or "table".
        name: Its name in the paper module: `fig3`.
        title: One line.
        caption: What is needed to read it alone.
        file: The PDF of a figure, the `tabular` of a table.
        target: Path of the copy that the report includes, relative to the report's folder.
        label: LaTeX label.
    """

    kind: str
    name: str
    title: str
    caption: str
    file: Path
    target: str
    label: str


@dataclass(frozen=True)
class Part:
    """The results of one paper at one scale.

    Attributes:
        paper: The command: `keskar`.
        scale: One of `reproduce.study.SCALES`.
        manifest: `manifest.json`; what it lacks is None.
        claims: The records of `claims.json`; what they lack is None.
        runs: The runs that the part rests on.
        exhibits: Figures and tables whose files are there, in the manifest's order.
        missing: Names of those whose files are not.
    """

    paper: str
    scale: str
    manifest: Mapping[str, Any]
    claims: tuple[Mapping[str, Any], ...]
    runs: tuple[Mapping[str, Any], ...]
    exhibits: tuple[Exhibit, ...]
    missing: tuple[str, ...]

    @property
    def published(self) -> bool:
        """Whether every run is one of the published ones."""
        return bool(self.runs) and all(run.get("published") for run in self.runs)

    def count(self, verdict: str) -> int:
        """Number of claims with this verdict."""
        return sum(claim["verdict"] == verdict for claim in self.claims)


def gather(roots: Sequence[Path]) -> list[Part]:
    """Read every `<paper>/<scale>/manifest.json` below the roots; of one paper and scale the first root counts.

    Parts are grouped by paper in alphabetic order; within a paper the published study comes first, then the scales
    from the paper's own down to demo.

    Raises:
        UsageError: There are no results, or a file of theirs cannot be read.
    """
    parts: dict[tuple[str, str], Part] = {}
    for root in roots:
        for path in sorted(root.glob("*/*/manifest.json")):
            part = _read(path)
            parts.setdefault((part.paper, part.scale), part)
    if not parts:
        places = ", ".join(str(root) for root in roots)
        raise UsageError(f"no results (PAPER/SCALE/manifest.json) in {places}; run `reproduce keskar` first.")
    return sorted(parts.values(), key=lambda part: (part.paper, not part.published, -_rank(part.scale)))


def _rank(scale: str) -> int:
    return SCALES.index(scale) if scale in SCALES else -1


def _read(path: Path) -> Part:
    manifest = {**_MANIFEST, **_json(path, dict)}
    if isinstance(manifest["not_run"], dict):
        manifest["not_run"] = [f"{name}: {why}" for name, why in manifest["not_run"].items()]
    folder = path.parent
    paper, scale = str(manifest.get("paper", folder.parent.name)), str(manifest.get("scale", folder.name))
    claims = _json(folder / str(manifest.get("claims_file") or "claims.json"), list)
    for claim in claims:
        if (
            not isinstance(claim, dict)
            or claim.get("verdict") not in VERDICTS
            or not {"id", "statement"} <= claim.keys()
        ):
            raise UsageError(
                f"{folder / 'claims.json'}: expected claims with id, statement and a verdict of {', '.join(VERDICTS)}, "
                f"got {str(claim)[:80]}. Run `reproduce {paper} --scale {scale}` again."
            )
    exhibits, missing = [], []
    for kind, key in (("figure", "pdf"), ("table", "tex")):
        for entry in manifest.get(f"{kind}s") or []:
            file = folder / str(entry.get(key) or "")
            if not file.is_file():
                missing.append(str(entry.get("name")))
                continue
            stem = f"{paper}-{scale}-{entry['name']}"
            exhibits.append(
                Exhibit(
                    kind=kind,
                    name=str(entry["name"]),
                    title=str(entry.get("title") or entry["name"]),
                    caption=str(entry.get("caption") or ""),
                    file=file,
                    target=f"{kind}s/{stem}.{key}",
                    label=f"{kind[:3]}:{stem}",
                )
            )
    return Part(
        paper=paper,
        scale=scale,
        manifest=manifest,
        claims=tuple({**_CLAIM, **claim} for claim in claims),
        runs=tuple({**_RUN, **run} for run in manifest["runs"] or ()),
        exhibits=tuple(exhibits),
        missing=tuple(missing),
    )


def _json(path: Path, kind: type) -> Any:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path} is missing; run the paper's command again.") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}); run the paper's command again.") from None
    if not isinstance(value, kind):
        raise UsageError(
            f"{path}: expected a {kind.__name__}, got a {type(value).__name__}; run the paper's command again."
        )
    return value
