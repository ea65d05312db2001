"""The papers: each module declares its trials, figures, tables and claims, and nothing else."""

from functools import cache
from importlib import import_module

from bsgap.errors import UsageError
from reproduce.study import Study

NAMES = (
    "keskar",
    "golmant",
    "adabatch",
    "smith",
    "hoffer",
    "goyal",
    "lars",
    "surlemont",
    "sam",
    "asam",
    "li",
    "yao",
    "jastrzebski",
)


@cache
def study(name: str) -> Study:
    """The study of a paper by its command name.

    Raises:
        UsageError: There is no such paper.
    """
    if name not in NAMES:
        raise UsageError(f"unknown paper {name!r}: expected one of {', '.join(NAMES)}; see `reproduce list`.")
    return import_module(f"reproduce.papers.{name}").STUDY
