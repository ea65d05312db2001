"""Sentences that state what the results are: generated from the claims and the manifests, never written by hand."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reproduce.latex import Tex, escape, number
from reproduce.report.gather import VERDICTS, Part

_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_TAGS = {
    "P": "read in a copy of the paper's text",
    "S": "taken from the source document that started this project",
    "C": "read or decoded from the authors' code",
    "N": "second hand, from someone else's page-anchored notes on the paper",
}


def word(count: int) -> str:
    """A count as a word up to twelve."""
    return _WORDS[count] if 0 <= count < len(_WORDS) else str(count)


def listed(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def counts_sentence(claims: Sequence[Mapping[str, Any]]) -> str:
    """How the claims fell: "Of the nine claims, five are reproduced, three are inconclusive and one was not run."."""
    total = len(claims)
    counts = {verdict: sum(claim["verdict"] == verdict for claim in claims) for verdict in VERDICTS}
    if total == 0:
        return "No claim was declared."
    whole = [verdict for verdict, count in counts.items() if count == total]
    subject = (
        "The one claim" if total == 1 else f"All {word(total)} claims" if whole else f"Of the {word(total)} claims"
    )
    if whole:
        return f"{subject} {_copula(whole[0], total)} {whole[0]}."
    pieces = [f"{word(count)} {_copula(verdict, count)} {verdict}" for verdict, count in counts.items() if count]
    return f"{subject}, {listed(pieces)}."


def _copula(verdict: str, count: int) -> str:
    past = verdict == "not run"
    return ("was" if count == 1 else "were") if past else ("is" if count == 1 else "are")


def value_text(value: Any) -> str:
    """A reported or measured value as it is printed: numbers with three significant digits, text as it stands."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {value_text(entry)}" for key, entry in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " to ".join(value_text(entry) for entry in value)
    return str(value)


def interval(uncertainty: Any) -> tuple[float, float] | None:
    """Ends of an interval given as a pair or as {"low", "high"}; None for anything else."""
    if isinstance(uncertainty, Mapping):
        uncertainty = [uncertainty.get("low"), uncertainty.get("high")]
    if isinstance(uncertainty, Sequence) and not isinstance(uncertainty, str) and len(uncertainty) == 2:
        low, high = uncertainty
        if isinstance(low, int | float) and isinstance(high, int | float) and not (math.isnan(low) or math.isnan(high)):
            return float(low), float(high)
    return None


def uncertainty_text(uncertainty: Any) -> str:
    """`[1.20, 3.40]` for an interval, the text itself otherwise."""
    ends = interval(uncertainty)
    return value_text(uncertainty) if ends is None else f"[{number(ends[0])}, {number(ends[1])}]"


def reason(claim: Mapping[str, Any]) -> str:
    """Why a claim got its verdict, in one clause."""
    seeds = claim.get("n_seeds") or 0
    if claim["verdict"] == "reproduced":
        return "the whole interval lies beyond the size that was declared to count"
    if claim["verdict"] == "not reproduced":
        return "the whole interval lies short of the size that was declared to count"
    if claim["verdict"] == "not run":
        return "no run of it is on disk"
    if seeds < 3:
        return f"with {word(seeds)} seed{'' if seeds == 1 else 's'} no verdict is given"
    return "the interval reaches to both sides of the size that was declared to count"


def result_sentence(claim: Mapping[str, Any]) -> Tex:
    """One claim as a sentence: statement, what is reported, what was measured, verdict and why."""
    statement = str(claim["statement"]).rstrip(". ")
    pieces = [f"{statement}."]
    reported = claim.get("reported")
    if reported not in (None, ""):
        source = str(claim.get("source") or "").strip()
        pieces.append(f"Reported: {value_text(reported)}{f' ({source})' if source else ''}.")
    if claim["verdict"] != "not run":
        measured = f"Measured: {value_text(claim.get('measured'))}"
        ends = interval(claim.get("uncertainty"))
        seeds = claim.get("n_seeds") or 0
        spread = f"95 % interval {number(ends[0])} to {number(ends[1])}, " if ends else ""
        pieces.append(f"{measured} ({spread}{seeds} seed{'' if seeds == 1 else 's'}).")
    pieces.append(f"{reason(claim).capitalize()}.")
    return escape(" ".join(pieces))


def by_verdict(claims: Iterable[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """The claims grouped by verdict, in the order of `VERDICTS`, empty groups left out."""
    listed_claims = list(claims)
    groups = [(verdict, [claim for claim in listed_claims if claim["verdict"] == verdict]) for verdict in VERDICTS]
    return [(verdict, group) for verdict, group in groups if group]


def runs_sentence(part: Part) -> str:
    """How many runs a part rests on, how they ended, what they cost and where they come from."""
    runs = part.runs
    if not runs:
        return "No run is recorded with this part."
    pieces = [f"{len(runs)} training run{'s' if len(runs) != 1 else ''}"]
    diverged = sum(run.get("status") == "diverged" for run in runs)
    other = sum(run.get("status") not in ("finished", "diverged") for run in runs)
    if diverged:
        pieces.append(f"{word(diverged)} of which diverged")
    if other:
        pieces.append(f"{word(other)} of which did not finish")
    seconds = sum(float(run.get("seconds") or 0) for run in runs)
    published = sum(bool(run.get("published")) for run in runs)
    origin = (
        "all published with the code"
        if published == len(runs)
        else f"{published} of them published with the code"
        if published
        else "none of them published with the code"
    )
    return f"This part rests on {', '.join(pieces)}; {origin}. Training took {duration(seconds)} in all."


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3.4 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def tags(parts: Iterable[Part]) -> list[tuple[str, str]]:
    """The provenance tags and what they mean, for the paragraph that explains them."""
    return list(_TAGS.items()) if list(parts) else []


def machine_text(machine: Any) -> str:
    """A machine in one line: processor, cores, memory, accelerator, system."""
    if not isinstance(machine, Mapping):
        return str(machine or "not recorded")
    cores, memory = machine.get("cores"), machine.get("memory_gib")
    pieces = [
        str(machine.get("processor") or ""),
        f"{cores} core{'' if cores == 1 else 's'}" if cores else "",
        f"{memory:g} GiB" if isinstance(memory, int | float) else "",
        str(machine.get("accelerator") or "no accelerator"),
        str(machine.get("os") or ""),
    ]
    return ", ".join(piece for piece in pieces if piece)
