"""Corrupt things are named and set aside, never used and never deleted."""

import os
from pathlib import Path


class Aside:
    """Moves corrupt files of a store to `<root>/corrupt/<run id>-<n>/` and remembers one line for each."""

    def __init__(self, root: Path):
        self.folder = root / "corrupt"
        self.warnings: list[str] = []

    def warn(self, line: str) -> None:
        """Remember a line once."""
        if line not in self.warnings:
            self.warnings.append(line)

    def move(self, run_id: str, path: Path, reason: str, inside: str | None = None) -> None:
        """Set aside `path`, a run's whole folder, or one thing in it when `inside` names its place there ("" the top).

        Where nothing may be written it stays, and is named all the same.
        """
        try:
            target = self._target(run_id)
            if inside is None:
                os.rename(path, target)
            else:
                (target / inside).mkdir(parents=True)
                os.rename(path, target / inside / path.name)
        except FileNotFoundError:
            return  # another process was faster
        except OSError as error:
            self.warn(f"{path} is corrupt ({reason}) and could not be set aside ({error.strerror})")
            return
        self.warn(f"{path} is corrupt ({reason}): set aside in {target}")

    def _target(self, run_id: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        number = 1
        while (self.folder / f"{run_id}-{number}").exists():
            number += 1
        return self.folder / f"{run_id}-{number}"
