"""Random crop and horizontal flip of a whole batch at once, on the device that holds it."""

import torch
import torch.nn.functional as F
from torch import Tensor


def crop_flip(images: Tensor, generator: torch.Generator, *, padding: int | None = None) -> Tensor:
    """Shift each image by up to `padding` pixels either way, filling with zeros, and mirror it with probability 1/2.

    That is the usual zero-padded random crop: image `b` becomes `padded[b, :, y : y + h, x : x + w]` with y and x
    uniform on 0 ... 2 * padding, then flipped left to right or not. Zeros are black: apply it to stored pixel values,
    before any mean is subtracted. The draws come from the CPU, so that they are the same on every device; the pixels
    move in one gather, without a loop over images.

    Args:
        images: `[b, c, h, w]`, any type.
        generator: CPU generator; 3 b draws are taken.
        padding: Pixels; `None` means an eighth of the height, the usual 4 for 32 x 32.

    Returns:
        `[b, c, h, w]`, same type and device.
    """
    count, channels, height, width = images.shape
    pad = max(1, height // 8) if padding is None else padding
    shifts = torch.randint(0, 2 * pad + 1, (2, count, 1), generator=generator)
    flips = torch.randint(0, 2, (count, 1), generator=generator).bool()
    shifts, flips = shifts.to(images.device), flips.to(images.device)

    rows = torch.arange(height, device=images.device) + shifts[0]
    columns = torch.arange(width, device=images.device)
    columns = torch.where(flips, columns.flip(0), columns) + shifts[1]
    index = rows[:, :, None] * (width + 2 * pad) + columns[:, None, :]

    padded = F.pad(images, (pad, pad, pad, pad)).flatten(2)
    index = index.view(count, 1, height * width).expand(-1, channels, -1)
    return padded.gather(2, index).view(count, channels, height, width)
