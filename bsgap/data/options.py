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
