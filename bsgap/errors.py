"""Errors that a user can act on: one clear line that says what was expected, what came, and the fix."""


class UsageError(ValueError):
    """The input cannot be honoured. The commands print its one line and exit with code 2."""


class NotFinite(UsageError):
    """The loss, or what is derived from it, is not finite where the model stands: there is nothing to measure."""


class MissingData(UsageError):
    """A data set is not at hand. The message names the file, where it was looked for, and where it comes from."""


class CorruptData(UsageError):
    """A file is there but is not what it should be: truncated, altered, or another file."""


class BadCheckpoint(UsageError):
    """A checkpoint cannot be continued: it is damaged, or belongs to another recipe."""


class Interrupted(BaseException):
    """A run was asked to stop; the same command continues it from its resume point.

    As with KeyboardInterrupt, no `except Exception` on the way out may take it for a failure.
    """
