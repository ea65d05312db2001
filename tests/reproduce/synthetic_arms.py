"""Frames of several ways of training, as made up as they are plausible."""

import numpy as np
import pandas as pd

from reproduce import drawing

ARMS = ("fixed, m = 128", "adaptive, m = 128 to 2048", "fixed, m = 2048")
SEEDS = 3


def footer(*notes):
    return drawing.Footer("laptop", "ResNet-20 on CIFAR-10, 10,000 images (analogue)", SEEDS, "running", "2-core CPU",
                          ("resnet-50",), notes)  # fmt: skip


def curves(rng, panels=("Training loss", "Test error"), arms=ARMS, epochs=60, lost=()):
    """Loss-like curves that fall at two milestones; those of (arm, seed) in `lost` explode after a while."""
    parts = []
    for panel in panels:
        for index, arm in enumerate(arms):
            for seed in range(SEEDS):
                epoch = np.arange(epochs + 1)
                drops = 1.0 * (epoch >= epochs / 2) + 0.6 * (epoch >= 0.75 * epochs)
                value = (2.3 * np.exp(-epoch / 25) + 0.25 + 0.08 * index) * np.exp(-drops)
                value = value * (20 if "error" in panel else 1) * np.exp(rng.normal(0, 0.03, len(epoch)))
                gone = (arm, seed) in lost
                if gone:
                    epoch, value = epoch[:9], value[:9] * np.exp(np.linspace(0, 6, 9))
                per_epoch = 390 // (1 if index == 0 else 16 if index == 2 else 4)
                parts.append(pd.DataFrame({"panel": panel, "arm": arm, "seed": seed, "epoch": epoch,
                                           "step": epoch * per_epoch + seed, "value": value,
                                           "diverged": gone}))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def schedules():
    """Rate and batch size of three schedules that share their first stage."""
    parts = []
    for arm, rate, growth in (("decay the rate", 5, 1), ("hybrid", 2.5, 2), ("grow the batch", 1, 5)):
        stage = np.repeat(np.arange(4), 15)
        for panel, value in (("Learning rate", 0.1 / rate**stage), ("Batch size", 128 * growth**stage)):
            parts.append(pd.DataFrame({"panel": panel, "arm": arm, "seed": 0, "epoch": np.arange(60), "value": value}))
    return pd.concat(parts, ignore_index=True)


def sizes(rng, lost=True):
    """Error against batch, and what a paper reports."""
    rows, reported = [], []
    for panel in ("C10, ResNet-20", "C100, ResNet-20"):
        for index, arm in enumerate(("gradual warm-up", "no warm-up")):
            for batch in (64, 128, 256, 512, 1024, 2048):
                error = 12 + 0.4 * max(0, np.log2(batch) - 8 + index) ** 2 + 15 * ("100" in panel)
                for seed in range(SEEDS):
                    gone = lost and index == 1 and batch * (seed + 1) > 3000
                    value = np.nan if gone else error + rng.normal(0, 0.2)
                    rows.append({"panel": panel, "arm": arm, "seed": seed, "batch": batch, "value": value})
                if "100" not in panel:
                    reported.append({"panel": panel, "arm": arm, "batch": batch, "mean": error - 1, "std": 0.15})
    return pd.DataFrame(rows), pd.DataFrame(reported)


def walks(rng):
    """Distances that grow like ln t, the faster the smaller the batch, and their fits."""
    rows, fits = [], []
    for panel, scale in (("before: one rate", 1.0), ("after: rate and ghost batches", 0.3)):
        for batch in (64, 256, 1024, 2048, 4096):
            slope = 1.2 / (batch / 64) ** (0.3 * scale)
            for seed in range(SEEDS):
                steps = np.unique(np.ceil(2 ** np.arange(0, np.log2(640_000 / batch), 0.5))).astype(int)
                value = 0.4 + slope * np.log(steps) + rng.normal(0, 0.08, len(steps))
                rows.append(pd.DataFrame({"panel": panel, "batch": batch, "seed": seed, "step": steps, "value": value}))
                fits.append({"panel": panel, "batch": batch, "seed": seed, "slope": slope + rng.normal(0, 0.03),
                             "intercept": 0.4, "r_squared": 0.99, "low": 4, "high": steps.max()})  # fmt: skip
    return pd.concat(rows, ignore_index=True), pd.DataFrame(fits)


def times(rng):
    """Speed-ups of two adaptive arms, and what a paper reports."""
    rows, reported = [], []
    for panel in ("Forward", "Backward"):
        for group in ("VGG-19, CIFAR-100", "ResNet-20, CIFAR-100", "AlexNet, CIFAR-100"):
            for index, arm in enumerate(("fixed", "adaptive to 1024", "adaptive to 2048")):
                mean = 1 + 0.35 * index + 0.2 * (panel == "Backward")
                rows += [{"panel": panel, "group": group, "arm": arm, "seed": seed, "value": mean + rng.normal(0, 0.05)}
                         for seed in range(SEEDS)]  # fmt: skip
                if index:
                    reported.append({"panel": panel, "group": group, "arm": arm, "value": mean + 0.1})
    return pd.DataFrame(rows), pd.DataFrame(reported)
