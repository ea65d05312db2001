"""Starts for the vertex ascent on a classifier: vertices that push every example toward one class.

Where the loss of a classifier is largest in the box, the network mostly gives one class to all examples. Which class
that is, is seen at the first vertex already, and on a sample.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from bsgap.measures.batches import placed, sample
from bsgap.measures.boxes import Box
from bsgap.measures.evaluation import are_classes, mean_loss
from bsgap.measures.vectors import MeanLoss

SMALLEST = 256  # examples of the sample, at least
KEPT = 4  # starts


def class_starts(mean: MeanLoss, box: Box, first: Tensor) -> list[Tensor]:
    """Signs `[p]` of the vertices width·sign(∇ mean_i(z_ic - z_iy)), best first, for logits z, targets y, classes c.

    They are ranked by the loss at the vertex on an evenly spaced sample of the data; those that are below the vertex
    `first` there are left out, and at most four are returned. The sample is so small that all classes together cost
    about half a pass over the data; where there are too many classes for that, those with the largest mean of
    z_ic - z_iy are taken. None are returned where the outputs are no logits or the inputs cannot be sampled.
    """
    probe = sample(mean.batches, SMALLEST)
    if probe is None:
        return []
    box.place(torch.zeros_like(box.width), mean.flat.vector)
    with torch.no_grad():
        margins = _margins(mean, probe)
    if margins is None:
        return []
    budget = max(10, mean.examples // (2 * SMALLEST))
    candidates = margins.topk(min(budget, len(margins))).indices.tolist()
    probe = sample(mean.batches, max(SMALLEST, mean.examples // (3 * len(candidates))))
    assert probe is not None
    ranked: list[tuple[float, Tensor]] = []
    least = _loss_at(mean, box, first, probe)
    for candidate in candidates:
        box.place(torch.zeros_like(box.width), mean.flat.vector)
        with torch.enable_grad():
            margins = _margins(mean, probe)
            assert margins is not None
            slope = box.pull(mean.differentiate(margins[candidate]))
        signs = torch.sign(slope).to(torch.int8)
        value = _loss_at(mean, box, signs, probe)
        if value > least:
            ranked = sorted([*ranked, (value, signs)], key=lambda start: -start[0])[:KEPT]
    return [signs for _, signs in ranked]


@torch.no_grad()
def _loss_at(mean: MeanLoss, box: Box, signs: Tensor, batch: tuple[Tensor, Tensor]) -> float:
    """Loss on `batch` at the vertex `signs`."""
    box.place(signs * box.width, mean.flat.vector)
    inputs, targets = placed(batch, mean.gradient.device)
    return mean_loss(mean.loss, mean.model(inputs), targets).item()


def _margins(mean: MeanLoss, batch: tuple[Tensor, Tensor]) -> Tensor | None:
    """Mean over the examples of z_ic - z_iy, for each class c `[K]`; None where the outputs are no logits."""
    inputs, targets = placed(batch, mean.gradient.device)
    outputs = mean.model(inputs)
    if not are_classes(outputs, targets):
        return None
    logits = outputs.movedim(1, -1).flatten(0, -2)
    own = one_hot(targets.flatten(), logits.shape[1]).to(logits)
    return logits.mean(0) - (logits * own).sum(1).mean()
