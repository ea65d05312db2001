"""The claims ledger: what a paper says, what was measured, and the verdict, as `claims.json`."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self, get_args

from bsgap.analysis.statistics import MIN_SEEDS, Direction, Interval, Verdict, verdict
from bsgap.errors import UsageError
from reproduce.atomic import write_text

VERDICTS: tuple[str, ...] = get_args(Verdict)


@dataclass(frozen=True)
class Claim:
    """One line of the ledger.

    Attributes:
        id: Short and stable: `keskar-gap-c1`.
        statement: What the paper claims, in one sentence.
        source: Where it says so: `Table 2`.
        reported: The paper's value of the effect, as it prints it; None when it gives none.
        measured: This project's estimate; None when nothing was run, or no seed gave a number.
        uncertainty: Lower and upper bound of its 95 % interval; None for fewer than two seeds.
        n_seeds: Seeds that the estimate rests on.
        rule: Rule declared before anything ran: effect, minimal size, seeds. What was left out is said at its end.
        verdict: `reproduced`, `not reproduced`, `inconclusive` or `not run`.
        scale: `demo`, `laptop`, `gpu` or `paper`.

    Raises:
        UsageError: The verdict is none of the four.
    """

    id: str
    statement: str
    source: str
    reported: float | str | None
    measured: float | None
    uncertainty: tuple[float, float] | None
    n_seeds: int
    rule: str
    verdict: str
    scale: str

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise UsageError(f"claim {self.id}: expected a verdict of {', '.join(VERDICTS)}, got {self.verdict!r}.")

    @classmethod
    def judged(
        cls,
        id: str,
        statement: str,
        source: str,
        reported: float | str | None,
        interval: Interval | None,
        *,
        quantity: str,
        minimal: float,
        direction: Direction = "greater",
        min_seeds: int = MIN_SEEDS,
        over: str = "seeds",
        scale: str,
    ) -> Self:
        """The line whose verdict `bsgap.analysis.verdict` gives.

        Args:
            id: Short and stable.
            statement: What the paper claims.
            source: Where it says so.
            reported: The paper's value.
            interval: Interval of the effect over seeds; None when nothing was run.
            quantity: What the effect is, for the rule: `difference in test accuracy, small minus large batch`.
            minimal: Minimal size that counts, in the effect's unit.
            direction: Which side of `minimal` the claim is on.
            min_seeds: Seeds that the claim needs.
            over: What the interval is over, and what is counted, where it is not seeds.
            scale: One of the scales.
        """
        found = verdict(interval, minimal, direction, min_seeds=min_seeds)  # first: it checks the rule
        level = 100 * (interval.level if interval is not None else 0.95)
        side = _side(minimal, direction, ratio=interval is not None and interval.effect == "ratio")
        rule = f"{quantity}: {level:g} % interval over {over} wholly {side}, at least {min_seeds} {over}"
        if interval is not None and interval.excluded:
            rule += f"; {interval.excluded} left out because a run diverged, hence inconclusive"
        if interval is not None and interval.unpaired:
            rule += f"; {interval.unpaired} left out without a partner"
        return cls(
            id=id,
            statement=statement,
            source=source,
            reported=reported,
            measured=interval.estimate if interval is not None and interval.n > 0 else None,
            uncertainty=(interval.low, interval.high) if interval is not None and interval.n > 1 else None,
            n_seeds=interval.n if interval is not None else 0,
            rule=rule,
            verdict=found,
            scale=scale,
        )


def write_claims(path: Path, claims: Iterable[Claim]) -> None:
    """Write `claims.json`: a list of objects, in the order given; numbers that are not finite become null.

    Raises:
        UsageError: Two claims share an id, or the folder cannot be written to.
    """
    lines = [_strict(asdict(claim)) for claim in claims]
    ids = [line["id"] for line in lines]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise UsageError(f"claims need ids of their own, {', '.join(twice)} is used twice.")
    write_text(path, json.dumps(lines, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_claims(path: Path) -> list[Claim]:
    """Read `claims.json`.

    Raises:
        UsageError: It is missing, no JSON, or no list of claims.
    """
    names = {field.name for field in fields(Claim)}
    try:
        lines = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(lines, list) or not all(isinstance(line, dict) and set(line) == names for line in lines):
            raise UsageError(f"{path}: expected a list of claims with {', '.join(sorted(names))}. Write it anew.")
        return [Claim(**{**line, "uncertainty": _bounds(line["uncertainty"])}) for line in lines]
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}).") from None
    except json.JSONDecodeError as error:
        raise UsageError(f"{path} is no JSON ({error}). Write it anew.") from None


def _side(minimal: float, direction: Direction, *, ratio: bool) -> str:
    if direction == "within":
        return f"between {1 / minimal:g} and {minimal:g}" if ratio else f"within ±{minimal:g}"
    return f"{'above' if direction == 'greater' else 'below'} {minimal:g}"


def _bounds(value: Any) -> tuple[float, float] | None:
    return None if value is None else (float(value[0]), float(value[1]))


def _strict(line: dict[str, Any]) -> dict[str, Any]:
    def finite(value: Any) -> Any:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    bounds = line["uncertainty"]
    if bounds is not None and not all(math.isfinite(bound) for bound in bounds):
        line["uncertainty"] = None
    return {name: finite(value) for name, value in line.items()}
