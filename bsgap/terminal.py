"""What the commands show: an error on one line, and nothing that a user can do nothing about."""

import logging
import warnings

from bsgap.errors import UsageError

INTERRUPTED = 130
"""Exit code of a command that was interrupted: 128 and the number of SIGINT."""

# Beginning of a message of Lightning -> why it is not shown.
MESSAGES = {
    "Seed set to": "the recipe says it",
    "GPU available:": "the recipe says what is used; what is not used is no news",
    "TPU available:": "the same",
    "HPU available:": "the same",
    "LOCAL_RANK:": "the same",
    "Using bfloat16 Automatic Mixed Precision": "the recipe says it",
    "💡 Tip:": "an advertisement",
    "Restoring states from the checkpoint": "a second line says so when it is done",
    "`Trainer.fit` stopped: `max_epochs=": "the progress bar and the outcome say it",
    "\nDetected KeyboardInterrupt": "the command says it, with what to do next",
}

# Beginning of a warning (a regular expression) -> why it is not shown.
WARNINGS = {
    r"`isinstance\(treespec, LeafSpec\)` is deprecated": "Lightning 2.6 asks this of torch 2.13 in every run",
    r"GPU available but not used": "as above: the recipe chose so",
}

_LOGGERS = (
    "pytorch_lightning.utilities.rank_zero",
    "lightning_fabric.utilities.rank_zero",
    "lightning_fabric.utilities.seed",
)


def _is_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(tuple(MESSAGES))


def quiet() -> None:
    """Hide `MESSAGES` and `WARNINGS` in this process; called again, it changes nothing."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_is_news)
    for pattern in WARNINGS:
        warnings.filterwarnings("ignore", message=pattern)


def one_line(error: BaseException) -> str:
    r"""The message of an error on one line, without what jsonargparse says of every error in a nested option.

    >>> one_line(ValueError("Parser key 'data':\n  Subtypes: [a, b]\n  Errors:\n    - batch_size: expected an int"))
    "Parser key 'data': batch_size: expected an int"
    """
    lines = [line.strip().removeprefix("- ") for line in str(error).splitlines()]
    noise = ("Does not validate against any", "Subtypes:", "Errors:", "Given value", "Expected a <class 'NoneType'>")
    kept = [line.removesuffix("Does not validate against any of the Union subtypes").strip() for line in lines]
    return " ".join(line for line in kept if line and not line.startswith(noise)) or type(error).__name__


def usage_error(error: BaseException) -> UsageError | None:
    """The `UsageError` that `error` is or was raised from: jsonargparse wraps those of the classes that it builds."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, UsageError):
        seen = seen.__cause__ or seen.__context__
    return seen
