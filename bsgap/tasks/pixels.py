"""Loss, accuracy and mean intersection over union of a segmentation, from one confusion matrix over all batches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics.functional.classification import multiclass_confusion_matrix

from bsgap.errors import UsageError
from bsgap.measures import Statistics
from bsgap.measures.batches import listed, placed
from bsgap.measures.modes import device_of, measuring

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class SegmentationEvaluation:
    """What an evaluation of a segmentation found, over labelled pixels.

    Attributes:
        loss: Mean cross-entropy of a labelled pixel, in nats.
        accuracy: Share of the labelled pixels whose class is the arg max of the logits, in [0, 1].
        examples: Number of images.
        miou: Mean of the IoU of the classes that occur, as label or as prediction, in [0, 1].
        per_class: IoU of each class: pixels with it as label and prediction, over pixels with it as either; NaN for a
            class that does not occur.
        pixels: Labelled pixels of each class.
    """

    loss: float
    accuracy: float
    examples: int
    miou: float
    per_class: tuple[float, ...]
    pixels: tuple[int, ...]

    def values(self) -> dict[str, float]:
        """What a curve shows of it: `loss`, `accuracy` and `miou`."""
        return {"loss": self.loss, "accuracy": self.accuracy, "miou": self.miou}


@dataclass(frozen=True, eq=False)
class PixelCounts:
    """What batches add up to; counts of parts of the data give, added, those of the whole.

    Attributes:
        loss: Sum of the cross-entropy over labelled pixels, float64.
        confusion: `[K, K]` int64: labelled pixels by label (row) and prediction (column).
        examples: Number of images, int64.
    """

    loss: Tensor
    confusion: Tensor
    examples: Tensor

    def __add__(self, other: "PixelCounts") -> "PixelCounts":
        return PixelCounts(self.loss + other.loss, self.confusion + other.confusion, self.examples + other.examples)

    def evaluation(self) -> SegmentationEvaluation:
        """Means of these sums.

        Raises:
            UsageError: There is no labelled pixel.
        """
        confusion = self.confusion.double().cpu()
        labelled, right = confusion.sum(), confusion.diag()
        if not labelled:
            raise UsageError("no pixel of the batches is labelled, so they have no mean. Give others.")
        union = confusion.sum(0) + confusion.sum(1) - right
        iou = right / union  # 0/0 is NaN: the class does not occur
        return SegmentationEvaluation(
            loss=self.loss.item() / labelled.item(),
            accuracy=(right.sum() / labelled).item(),
            examples=int(self.examples),
            miou=iou.nanmean().item(),
            per_class=tuple(iou.tolist()),
            pixels=tuple(int(count) for count in confusion.sum(1)),
        )


def count_pixels(model: nn.Module, batches: Iterable[Any], *, ignore_label: int, statistics: Statistics) -> PixelCounts:
    """Add up what `model` does with each pixel, in float32 or better, without autocast, dropout off.

    The model is afterwards as it was. Batches are read one at a time, and a list is not copied.

    Args:
        model: Maps the inputs of a batch to logits `(batch, classes, height, width)`.
        batches: Pairs `(inputs, targets)`, targets `(batch, height, width)`.
        ignore_label: What a mask holds where a pixel is not labelled.
        statistics: Source of the BatchNorm statistics: `batch` or `running`.

    Raises:
        UsageError: There is no batch, a batch is no such pair, or a label is none of the network's classes.
    """
    rest = iter(batches)
    first = list(islice(rest, 1))
    total: PixelCounts | None = None
    with measuring(model, first, statistics), torch.no_grad():  # in this order: the first lets gradients be taken
        device = device_of(model)
        for batch in chain(first, rest):
            inputs, targets = placed(listed([batch])[0], device)
            found = _counted(model(inputs), targets, ignore_label)
            total = found if total is None else total + found
    assert total is not None
    return total


def class_table(evaluation: SegmentationEvaluation, names: Sequence[str]) -> "DataFrame":
    """One row a class: `class`, `pixels` (labelled), `share` of them, and `iou` (NaN where it does not occur).

    Args:
        evaluation: What `SemanticSegmentation.evaluate` found.
        names: Name of each class, as `SceneData.class_names` has them.

    Raises:
        UsageError: There are not as many names as classes.
    """
    import pandas as pd  # only where a table is made

    if len(names) != len(evaluation.per_class):
        raise UsageError(f"names must be as many as the {len(evaluation.per_class)} classes, got {len(names)}.")
    labelled = sum(evaluation.pixels)
    return pd.DataFrame(
        {
            "class": list(names),
            "pixels": evaluation.pixels,
            "share": [count / labelled for count in evaluation.pixels],
            "iou": evaluation.per_class,
        }
    )


def summed_loss(outputs: Tensor, targets: Tensor, ignore_label: int) -> Tensor:
    """Sum of the cross-entropy over labelled pixels, in nats.

    Pixel by pixel and then summed: CUDA's own sum over a map adds in no fixed order.
    """
    return cross_entropy(outputs, targets, ignore_index=ignore_label, reduction="none").sum()


def check_maps(outputs: Tensor, targets: Tensor) -> None:
    """Refuse logits that are no map of the masks' size.

    Raises:
        UsageError: They are not.
    """
    if outputs.ndim != 4 or outputs.shape[:1] + outputs.shape[2:] != targets.shape:
        raise UsageError(
            f"the network must give logits [batch, classes, height, width] for masks {list(targets.shape)}, got"
            f" {list(outputs.shape)}. Use a segmentation network."
        )


def _counted(outputs: Tensor, targets: Tensor, ignore_label: int) -> PixelCounts:
    check_maps(outputs, targets)
    classes = outputs.shape[1]
    worst = targets.masked_fill(targets == ignore_label, 0).max().item()
    if worst >= classes:
        raise UsageError(
            f"a mask has the label {worst}, and the network gives classes 0 to {classes - 1}. Set the network's classes"
            " to those of the data."
        )
    # Image by image: in float64 a whole batch of large images would take gigabytes.
    losses = [
        summed_loss(logits[None].double(), target[None], ignore_label)
        for logits, target in zip(outputs, targets, strict=True)
    ]
    confusion = multiclass_confusion_matrix(
        outputs.argmax(1), targets, classes, ignore_index=ignore_label, validate_args=False
    )
    examples = torch.tensor(len(targets), device=targets.device)
    return PixelCounts(torch.stack(losses).sum(), confusion, examples)
