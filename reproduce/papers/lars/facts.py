"""The paper's own numbers, as others quote them page by page (tag N): top-1 accuracy (%) on ImageNet."""

import math

import pandas as pd

from reproduce.papers.lars.problems import LARS, METHODS, SGD

PANEL = "ImageNet, reported"

ALEXNET: dict[str, dict[int, float]] = {
    SGD: {512: 57.6, 4096: 53.1, 8192: 44.8},
    LARS: {8192: 60.2, 32_768: 57.8},
}
"""Batch size -> accuracy: without LARS of AlexNet with local response normalisation, under linear scaling and warm-up;
with LARS of AlexNet-BN, whose baseline without LARS has 60.2, at 8192 "the baseline's"."""

BASELINE = 60.2
"""AlexNet-BN without LARS at batch 512."""

RESNET50: dict[str, dict[int, float]] = {SGD: {256: 73.0}, LARS: {32_768: 72.3}}

RATIOS = {"conv1": 5.76, "fc6": 1345.0}
"""Layer -> ‖w‖/‖∇L(w)‖ of its weights at the first iteration of AlexNet-BN: two of the layers that the paper lists."""


def accuracies() -> pd.DataFrame:
    """The reported accuracies for `reproduce.drawing.against_size`: panel, arm, batch, mean, std (none is given)."""
    networks: tuple[tuple[str, dict[str, dict[int, float]]], ...] = (
        ("AlexNet (LRN)", {SGD: ALEXNET[SGD]}),
        ("AlexNet-BN", {SGD: {512: BASELINE}, LARS: ALEXNET[LARS]}),
        ("ResNet-50", RESNET50),
    )
    return pd.DataFrame([
        {"panel": f"{network} on {PANEL}", "arm": METHODS[method], "batch": batch, "mean": value, "std": math.nan}
        for network, methods in networks
        for method, values in methods.items()
        for batch, value in values.items()
    ])  # fmt: skip
