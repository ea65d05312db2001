"""Sentences that state what the results are: generated from the claims and the manifests, never written by hand."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reproduce.claims import VERDICTS
from reproduce.latex import number
from reproduce.report.gather import Part

ABSENT = "–"
_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

_SEEDS = re.compile(r"at least (\d+) seeds")  # as reproduce.claims writes it


def name(paper: str) -> str:
    """What a study is called in a sentence.

    >>> name("keskar"), name("lars")
    ('Keskar', 'LARS')
    """
    return {"adabatch": "AdaBatch", "lars": "LARS", "sam": "SAM", "asam": "ASAM"}.get(paper, paper.capitalize())


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
        return ABSENT
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
    """Why a claim got its verdict, in one clause; the seeds that its rule asks for are read from the rule."""
    if claim["verdict"] == "reproduced":
        return "the whole interval lies on the claim's side of the declared limit"
    if claim["verdict"] == "not reproduced":
        return "the whole interval lies on the other side of the declared limit"
    if claim["verdict"] == "not run":
        return "no run of it is on disk"
    rule = str(claim["rule"] or "")
    asked = _SEEDS.search(rule)
    if (claim["n_seeds"] or 0) < (int(asked.group(1)) if asked else 3):
        return "fewer seeds than the rule asks for"
    if "diverged" in rule:
        return "a run diverged, and what is left are the survivors"
    return "the interval holds the declared limit"


def by_verdict(claims: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, list[str]]]:
    """The claims grouped by verdict and reason, in the order of `VERDICTS`: (verdict, reason, one phrase a claim)."""
    groups: dict[tuple[str, str], list[str]] = {}
    for claim in sorted(claims, key=lambda claim: VERDICTS.index(claim["verdict"])):
        groups.setdefault((claim["verdict"], reason(claim)), []).append(result_phrase(claim))
    return [(verdict, why, phrases) for (verdict, why), phrases in groups.items()]


def result_phrase(claim: Mapping[str, Any]) -> str:
    """One claim with its numbers: "F1: the large batch tests worse (0.610 [0.310, 0.920], n = 3; reported 0.22)"."""
    statement, reported = str(claim["statement"]).rstrip(". "), value_text(claim["reported"])
    pieces = []
    if claim["verdict"] != "not run":
        ends = uncertainty_text(claim["uncertainty"])
        interval = "" if ends == ABSENT else f" {ends}"
        pieces.append(f"{value_text(claim['measured'])}{interval}, n\u00a0=\u00a0{claim['n_seeds'] or 0}")
    if reported != ABSENT:
        pieces.append(f"reported {reported}")
    return f"{statement} ({'; '.join(pieces)})" if pieces else statement


_ANSWERS = {
    "reproduced": "Yes", "not reproduced": "No", "inconclusive": "Open, as the interval or the seeds do not decide it",
    "not run": "Not run",
}  # fmt: skip


def about(claims: Iterable[Mapping[str, Any]], *prefixes: str) -> list[Mapping[str, Any]]:
    """The claims whose ids begin so."""
    return [claim for claim in claims if str(claim["id"]).startswith(prefixes)]


def answer(claims: Iterable[Mapping[str, Any]], *prefixes: str) -> str:
    """What the claims whose ids begin so say to a question, by verdict: "Yes: ... (2.1 [1.2, 3.0], n = 5). No: ..."."""
    found: dict[str, list[str]] = {}
    for verdict, _, phrases in by_verdict(about(claims, *prefixes)):
        found.setdefault(verdict, []).extend(phrases)
    return " ".join(f"{_ANSWERS[verdict]}: {'; '.join(phrases)}." for verdict, phrases in found.items())


EVERY = "every measure"
_SHORT = {"reproduced": "yes", "not reproduced": "no", "inconclusive": "undecided"}
_BY_EVERY = {
    "reproduced": f"yes by {EVERY}", "not reproduced": f"no, not by {EVERY}",
    "inconclusive": "undecided by all measures together",
}  # fmt: skip


def gathered(claims: Iterable[Mapping[str, Any]], *prefixes: str) -> list[str]:
    """The claims whose ids begin so, of which several differ only in what follows " by ", in a sentence for each such.

    "SGD: at batch 32 SAM finds flatter minima: yes by the box (0.30) and the ball (0.41); undecided by ...". A claim
    "by every measure" has the number of the measure whose interval speaks most against it. Those not run are left out.
    """
    families: dict[str, dict[str, list[str]]] = {}
    for claim in about(claims, *prefixes):
        if claim["verdict"] in _SHORT:
            stem, _, way = str(claim["statement"]).rstrip(". ").partition(" by ")
            way, _, moment = way.partition(", ")
            family = families.setdefault(f"{stem}{', ' if moment else ''}{moment}", {verdict: [] for verdict in _SHORT})
            family[claim["verdict"]].append(f"{way} ({value_text(claim['measured'])})")
    return [
        f"{stem}: {'; '.join(_verdict_by(verdict, ways) for verdict, ways in family.items() if ways)}."
        for stem, family in families.items()
    ]


def _verdict_by(verdict: str, ways: Sequence[str]) -> str:
    if len(ways) == 1 and ways[0].startswith(EVERY):
        return f"{_BY_EVERY[verdict]}{ways[0].removeprefix(EVERY)}"
    return f"{_SHORT[verdict]} by {listed(ways)}"


def readings(claims: Sequence[Mapping[str, Any]]) -> list[str]:
    """For a claim that is read in several ways: the verdict of each reading, and whether they agree.

    The readings of the claim `x` are the claims whose ids begin with `x-`; what their statements add to that of `x` is
    the reading's name. Readings that were not run are left out.
    """
    sentences = []
    for base in claims:
        others = [claim for claim in claims if str(claim["id"]).startswith(f"{base['id']}-")]
        family = [claim for claim in (base, *others) if claim["verdict"] != "not run"]
        if not others or len(family) < 2:
            continue
        statement = str(base["statement"]).rstrip(". ")
        phrases = []
        for claim in family:
            name = str(claim["statement"]).rstrip(". ").removeprefix(statement).strip(", ")
            phrases.append(f"{claim['verdict']} {name or 'as declared'} ({value_text(claim['measured'])})")
        verdicts = {claim["verdict"] for claim in family}
        last = f"The verdict {'is the same in every' if len(verdicts) == 1 else 'depends on the'} reading"
        if verdicts == {"inconclusive"}:
            last = "No reading settles it"
        sentences.append(f"{statement}: {listed(phrases)}. {last}.")
    return sentences


def runs_sentence(part: Part, subject: str = "This part") -> str:
    """How many runs a part rests on, how they ended, what they cost and where they come from."""
    runs = part.runs
    if not runs:
        return f"{subject} has no run on record."
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
    return f"{subject} rests on {', '.join(pieces)}; {origin}. Training took {duration(seconds)} in all."


def grouped(entries: Sequence[str]) -> str:
    """Entries "name: reason" with the names of one reason together: "C2 and C3 (too slow); F2 (licensed)"."""
    reasons: dict[str, list[str]] = {}
    for entry in entries:
        name, _, why = str(entry).partition(": ")
        reasons.setdefault(why, []).append(name)
    return "; ".join(f"{listed(names)} ({why})" if why else listed(names) for why, names in reasons.items())


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3.4 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


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
