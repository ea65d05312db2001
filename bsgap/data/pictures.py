"""Image files, opened so that a damaged one is named."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from bsgap.data.files import corrupt


@contextmanager
def picture(path: Path, home: str) -> Iterator[Image.Image]:
    """An image file, closed again afterwards; Pillow decodes it when its pixels are asked for, in the `with` block.

    Args:
        path: The file.
        home: Where it comes from, for the message.

    Raises:
        CorruptData: It is truncated or no image.
    """
    try:
        with Image.open(path) as file:
            yield file
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:  # what damaged files raise
        reason = " ".join(str(error).split())[-100:]
        raise corrupt(path, f"is truncated or no image ({reason})", home) from None
