"""Fixed splits and subsets in which every class keeps its share."""

import torch
from torch import Tensor

from bsgap.data.sources import ImageSet
from bsgap.errors import UsageError
from bsgap.seeding import generator

Pair = tuple[Tensor, Tensor]
"""(inputs, targets) of one split."""


def stratified_order(targets: Tensor, seed: int, name: str) -> Tensor:
    """A fixed random order of all examples whose every beginning has the classes in their overall shares.

    Within a class the order is random; example number j (from 0) of a class with `c` examples then stands at
    (j + 1/2) / c, and classes are merged by these positions. So the first k examples are a balanced subset for every k,
    a smaller subset is part of a larger one, and where all classes are equally large k of them give k / classes each.

    Args:
        targets: `[n]` class numbers.
        seed: Decides the order, with `name`.
        name: What the order is for.

    Returns:
        `[n]` permutation.
    """
    shuffled = torch.randperm(len(targets), generator=generator(seed, "subset", name))
    classes = targets[shuffled].cpu()
    by_class = torch.argsort(classes, stable=True)
    counts = torch.bincount(classes)
    first = torch.cumsum(counts, 0) - counts
    in_class = torch.arange(len(classes)) - first[classes[by_class]]
    position = torch.empty(len(classes), dtype=torch.float64)
    position[by_class] = (in_class.double() + 0.5) / counts[classes[by_class]]
    return shuffled[torch.argsort(position, stable=True)]


def cut(
    images: ImageSet,
    *,
    train_examples: int | None,
    train_fraction: float | None,
    test_examples: int | None,
    validation_examples: int,
    seed: int,
) -> dict[str, Pair]:
    """Training, test and (unless it is empty) validation examples, each in a `stratified_order`.

    So the first k of a split are a balanced subset. Validation examples are cut from the training data first: they are
    the same whatever the size of the training set.

    Args:
        images: What to cut.
        train_examples: Size of the training set; None for all that is left.
        train_fraction: The same as a share of what is left, in (0, 1].
        test_examples: Size of the test set; None for all.
        validation_examples: Size of the validation set.
        seed: Decides which examples go where.

    Returns:
        Inputs and targets, as stored, under `train`, `test` and `validation`.

    Raises:
        UsageError: More examples are asked for than there are.
    """
    total, tests = len(images.train_targets), len(images.test_targets)
    if validation_examples >= total:
        raise UsageError(
            f"validation_examples must leave some of the {total} training examples, got {validation_examples}."
        )
    if test_examples is not None and test_examples > tests:
        raise UsageError(f"test_examples must be at most the {tests} of {images.name}, got {test_examples}.")
    order = stratified_order(images.train_targets, seed, "validation")
    held_out, rest = order[:validation_examples], order[validation_examples:].sort().values
    wanted = len(rest) if train_examples is None else train_examples
    if train_fraction is not None:
        wanted = max(1, round(train_fraction * len(rest)))
    if wanted > len(rest):
        left = f" that {validation_examples} validation examples leave" if validation_examples else ""
        raise UsageError(f"train_examples must be at most the {len(rest)} of {images.name}{left}, got {wanted}.")
    kept = rest[stratified_order(images.train_targets[rest], seed, "train")[:wanted]]
    tested = stratified_order(images.test_targets, seed, "test")[:test_examples]
    splits = {
        "train": (images.train_inputs[kept], images.train_targets[kept]),
        "test": (images.test_inputs[tested], images.test_targets[tested]),
    }
    if validation_examples:
        splits["validation"] = images.train_inputs[held_out], images.train_targets[held_out]
    return splits
