"""Checks that the options of every data module share."""

from bsgap.errors import UsageError


def at_least(smallest: int, **options: int | None) -> None:
    """Refuse an option that is given and is no integer of at least `smallest`.

    Raises:
        UsageError: One of the options is not.
    """
    for name, value in options.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < smallest):
            raise UsageError(f"{name} must be an integer of at least {smallest}, got {value!r}.")


def one_of(choices: tuple[str, ...], **options: str) -> None:
    """Refuse an option that is none of the choices.

    Raises:
        UsageError: One of the options is not.
    """
    for name, value in options.items():
        if value not in choices:
            raise UsageError(f"{name} must be one of {', '.join(choices)}, got {value!r}.")


def check_share(train_examples: int | None, train_fraction: float | None) -> None:
    """Refuse a subset of the training data that is stated twice, or as a share out of range.

    Raises:
        UsageError: It is.
    """
    if train_examples is not None and train_fraction is not None:
        raise UsageError("train_examples and train_fraction exclude each other: give one of them.")
    if train_fraction is not None and not 0 < train_fraction <= 1:
        raise UsageError(f"train_fraction must be above 0 and at most 1, got {train_fraction}.")
