"""What an earlier command left in the folder of results, and a narrower one after it must not lose."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from bsgap.errors import UsageError
from reproduce.claims import Claim, read_claims
from reproduce.study import Plan, Study

_FILES = ("pdf", "png", "tex", "csv")


class Earlier:
    """The manifest, the claims and the tidy runs that lie in `folder`; empty when `plan` is the study's whole.

    A command with `--figure` or `--network` writes what it was asked for, and keeps listed what it was not.

    Args:
        folder: `results/PAPER/SCALE`.
        study: The paper.
        plan: What the command was asked for.
    """

    def __init__(self, folder: Path, study: Study, plan: Plan):
        self.folder, self.study, self.plan = folder, study, plan
        self.order = [artifact.name for artifact in study.artifacts]
        whole = list(plan.artifacts) == self.order and set(plan.networks) == set(study.networks[plan.scale])
        self.manifest: dict[str, Any] = {} if whole else _json(folder / "manifest.json")

    def entries(self, kind: str, new: list[dict[str, str]]) -> list[dict[str, str]]:
        """Figures or tables: the new ones, and those of before that were not asked for and are still there."""
        found = {entry["name"]: entry for entry in self.manifest.get(kind, []) if self._stays(entry)}
        found |= {entry["name"]: entry for entry in new}
        return sorted(found.values(), key=lambda entry: self.order.index(entry["name"]))

    def _stays(self, entry: dict[str, str]) -> bool:
        asked, known = entry["name"] in self.plan.artifacts, entry["name"] in self.order
        return known and not asked and all((self.folder / entry[key]).exists() for key in _FILES if key in entry)

    def claims(self, new: list[Claim]) -> list[Claim]:
        """The claims of before, judged anew where they can be, and the new ones."""
        try:
            old = read_claims(self.folder / "claims.json") if self.manifest else []
        except UsageError:  # none, or damaged
            old = []
        return list({claim.id: claim for claim in [*old, *new]}.values())

    def runs(self, new: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The runs behind what is listed."""
        return list({run["id"]: run for run in [*self.manifest.get("runs", []), *new]}.values())

    def curves(self, new: pd.DataFrame) -> pd.DataFrame:
        """The tidy runs: those of before, with the new ones in their place or at the end."""
        if not self.manifest:
            return new
        try:  # as text, so that the numbers stay as they were written
            old = dict(list(pd.read_csv(self.folder / "runs.csv", dtype=str).groupby("run", sort=False)))
        except (OSError, ValueError, KeyError):  # none, or damaged
            old = {}
        both = {**old, **dict(list(new.groupby("run", sort=False)))}
        return pd.concat(both.values(), ignore_index=True) if both else new

    def seeds(self) -> dict[str, int]:
        """Network -> seeds, the most that anything listed rests on."""
        old = self.manifest.get("seeds", {})
        return {**old, **{network: max(count, old.get(network, 0)) for network, count in self.plan.seeds.items()}}

    def lines(self, name: str, new: list[str]) -> list[str]:
        """`notes`, or `not_run`: those of before and the new ones, without what has been run by now."""
        run = tuple(f"{network}: " for network in self.plan.networks)
        old = [line for line in self.manifest.get(name, []) if not (name == "not_run" and line.startswith(run))]
        return list(dict.fromkeys([*old, *new]))


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or damaged: it is written anew
        return {}
    return found if isinstance(found, dict) else {}
