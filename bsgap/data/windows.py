"""Which part of a photograph a network sees: a random one while it trains, the centre when it is evaluated."""

from math import sqrt

import torch
from PIL import Image

Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels; right and bottom are outside."""

AREA = (0.08, 1.0)
ASPECT = (3 / 4, 4 / 3)
ATTEMPTS = 10


def random_box(width: int, height: int, draw: torch.Generator) -> Box:
    """A window of random area, aspect ratio and place (Szegedy et al. 2015, section 6).

    Its area is uniform on 8 % to 100 % of the image's; its aspect ratio, uniform on 3/4 to 4/3, is width to height or
    height to width with probability 1/2 each. A window that does not fit in the image is drawn again, up to ten times;
    after that it is the largest square in the middle. So does fb.resnet.torch, from which Goyal et al. 2017 take it.

    Args:
        width: Of the image, in pixels.
        height: As `width`.
        draw: Generator; always 50 draws are taken.
    """
    for area, aspect, turned, left, top in torch.rand(ATTEMPTS, 5, generator=draw, dtype=torch.float64).tolist():
        pixels = (AREA[0] + area * (AREA[1] - AREA[0])) * width * height
        ratio = ASPECT[0] + aspect * (ASPECT[1] - ASPECT[0])
        across, down = max(1, round(sqrt(pixels * ratio))), max(1, round(sqrt(pixels / ratio)))
        if turned < 0.5:
            across, down = down, across
        if across <= width and down <= height:
            x, y = int(left * (width - across + 1)), int(top * (height - down + 1))
            return x, y, x + across, y + down
    return centre_box(width, height, min(width, height))


def centre_box(width: int, height: int, side: int) -> Box:
    """The square of that side in the middle."""
    x, y = (width - side) // 2, (height - side) // 2
    return x, y, x + side, y + side


def random_window(image: Image.Image, side: int, draw: torch.Generator) -> Image.Image:
    """A `random_box` of an image, brought to `side` x `side` pixels, and mirrored with probability 1/2.

    Bilinear, with Pillow's antialiasing; the draws depend on nothing but the generator, and the window also on the
    image's size.
    """
    mirrored = torch.rand((), generator=draw, dtype=torch.float64).item() < 0.5
    window = image.resize((side, side), Image.Resampling.BILINEAR, box=random_box(*image.size, draw))
    return window.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else window


def centre_window(image: Image.Image, side: int, shorter: int) -> Image.Image:
    """The middle `side` x `side` pixels of an image whose shorter side has been brought to `shorter` pixels."""
    width, height = image.size
    least = min(width, height)
    size = (shorter * width // least, shorter * height // least)
    return image.resize(size, Image.Resampling.BILINEAR).crop(centre_box(*size, side))
