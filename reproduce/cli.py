"""The command `reproduce`: figures, numbers and verdicts of a paper from one's own runs."""

import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from bsgap.errors import UsageError
from bsgap.terminal import INTERRUPTED, one_line
from reproduce.papers import TITLES
from reproduce.study import SCALES


def parser() -> ArgumentParser:
    """The command line."""
    top = _parser(prog="reproduce", description=__doc__)
    commands = top.add_subcommands(required=True, dest="command")
    commands.add_subcommand("list", _parser(), help="papers, their figures and scales")
    for name, text in TITLES.items():
        commands.add_subcommand(name, _paper_parser(text), help=text)
    status = _parser(description="What is done, running, failed or missing.")
    status.add_argument("paper", nargs="?", choices=[*TITLES], help="only the runs of this paper")
    _add_places(status)
    commands.add_subcommand("status", status, help="what is done, running, failed or missing")
    take = _parser(description="Take finished runs of another store.")
    take.add_argument("folder", type=str, help="results folder of another machine or cluster")
    _add_places(take)
    commands.add_subcommand("import", take, help="take finished runs of another store")
    publish = _parser(description="Write compact copies of a paper's finished runs.")
    publish.add_argument("paper", choices=[*TITLES], help="paper whose runs are published")
    publish.add_argument("--scale", type=str, default="laptop", help=f"one of {', '.join(SCALES)}")
    publish.add_argument("--to", type=str, default="paper/results", help="folder of published results")
    _add_places(publish)
    commands.add_subcommand("publish", publish, help="write compact copies of finished runs, without weights")
    report = _parser(description="Build the IEEE-style report from the results on disk.")
    report.add_argument("--out", type=str, default="results", help="folder of results")
    commands.add_subcommand("report", report, help="build the report from the results on disk")
    return top


def _parser(**options: Any) -> ArgumentParser:
    return ArgumentParser(exit_on_error=False, allow_abbrev=False, **options)


def _add_places(to: ArgumentParser) -> None:
    to.add_argument("--out", type=str, default="results", help="folder of results and runs")
    to.add_argument("--data_root", type=str, default=None, help="folder of the data sets; else BSGAP_DATA")


def _paper_parser(text: str) -> ArgumentParser:
    paper = _parser(description=f"Reproduce {text}.")
    paper.add_argument("--scale", type=str, default="demo", help=f"one of {', '.join(SCALES)}; demo takes minutes")
    paper.add_argument("--figure", nargs="+", default=[], help="only these figures and tables, such as fig3 table2")
    paper.add_argument("--network", nargs="+", default=[], help="only these networks, such as F1 C1")
    paper.add_argument("--seeds", type=int, default=None, help="seeds of every network; default: the paper's")
    paper.add_argument("--jobs", type=int, default=None, help="runs at once; default: cores over a run's threads")
    paper.add_argument("--engine", choices=["local"], default="local", help="where runs are run")
    paper.add_argument("--wandb", choices=["online", "offline", "disabled"], default="offline", help="Weights & Biases")
    paper.add_argument("--dry_run", action="store_true", help="print the plan and stop")
    paper.add_argument("--fresh", action="store_true", help="do not use the published results that come with a clone")
    paper.add_argument("--retry_failed", action="store_true", help="train failed runs again")
    paper.add_argument("--download", action="store_true", help="fetch missing data sets from their homes")
    _add_places(paper)
    return paper


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point: exit code 0 done, 1 a run failed, 2 bad usage, 130 interrupted."""
    given = [_dashes(argument) for argument in (sys.argv[1:] if arguments is None else arguments)]
    try:
        with _terminable():
            return _run(parser().parse_args(given))
    except (ArgumentError, UsageError) as error:
        print(f"reproduce: error: {_as_typed(one_line(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("reproduce: interrupted; the same command continues", file=sys.stderr)
        return INTERRUPTED


def _dashes(argument: str) -> str:
    """`--dry-run` is `--dry_run`."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name[:2] + name[2:].replace("-", "_") + equals + value


def _as_typed(message: str) -> str:
    """The message with the name of an option as the user typed it, not as jsonargparse calls it."""
    return re.sub(r'Parser key "(\w+)"', lambda found: f"--{found[1].replace('_', '-')}", message)


@contextmanager
def _terminable() -> Iterator[None]:
    """Inside, SIGTERM ends the command as Ctrl-C does; while jobs run, the engine answers both."""
    if threading.current_thread() is not threading.main_thread():  # where Python allows no handlers
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(options: Namespace) -> int:
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    chosen: dict[str, Any] = vars(options[options.command]) if options[options.command] is not None else {}
    from reproduce import commands

    if options.command in TITLES:
        return commands.reproduce_paper(options.command, **chosen)
    return commands.COMMANDS[options.command](**chosen)


if __name__ == "__main__":
    sys.exit(main())
