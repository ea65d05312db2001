"""Made-up runs of the golmant study: loss = a falling power of the progress k / (1 + B / m), so that B is known."""

import json

import numpy as np
import pandas as pd

from bsgap.analysis import Crossing, speedup
from reproduce import drawing

BATCHES = tuple(2**power for power in range(6, 13))
EXAMPLES, EPOCHS = 10_000, 15
CRITICAL = {"Base LR": 700.0, "Linear scaling": 1400.0, "Square root scaling": 1000.0}
ROWS = ("ResNet-8 on CIFAR-10", "DRN-D-22 on CamVid", "LSTM on WikiText-2")
COLUMNS = ("Base learning rate", "Linear scaling rule")


def footer(data="SYNTHETIC NUMBERS, ResNet-8 on CIFAR-10 (analogue)", **more):
    return drawing.Footer(scale="laptop", data=data, seeds=3, statistics="batch", machine="no machine", **more)


def loss(step, batch, critical, first=2.3):
    """Loss after so many steps."""
    return 0.05 + first / (1 + step / (1 + critical / batch) / 12)


def steps_to(level, batch, critical, first=2.3):
    """Where `loss` is `level`, exactly."""
    return 12 * (first / (level - 0.05) - 1) * (1 + critical / batch)


def last(batch, epochs=EPOCHS):
    return max(2, EXAMPLES * epochs // batch)


def surfaces(rng, rows=ROWS, columns=COLUMNS, batches=BATCHES, seeds=3):
    """Loss curves at log-spaced steps; the linear rule diverges at the largest batch, with some seeds at the next."""
    found = []
    for row, column, batch, seed in (
        (r, c, b, s) for r in rows for c in columns for b in batches for s in range(seeds)
    ):
        critical = 1400.0 if column == COLUMNS[1] else 700.0
        lost = column == COLUMNS[1] and (batch == max(batches) or (batch == sorted(batches)[-2] and seed == 0))
        steps = np.unique(np.geomspace(1, last(batch), 30).astype(int))
        values = loss(steps, batch, critical) * np.exp(rng.normal(size=steps.size) * 0.03)
        if lost:
            values[2:] = [values[0] * 4, *[np.nan] * (len(values) - 3)][: len(values) - 2]
        found += [(row, column, batch, seed, int(k), v, lost) for k, v in zip(steps, values, strict=True)]
    return pd.DataFrame(found, columns=["row", "column", "batch", "seed", "step", "loss", "diverged"])


def curve(rng, critical, *, level=0.9, batches=BATCHES, seeds=3, lost=()):
    """What `speedup` makes of runs whose critical batch size is known."""
    crossings = {}
    for batch in batches:
        for seed in range(seeds):
            at = steps_to(level, batch, critical) * np.exp(rng.normal() * 0.08)
            reached = at <= last(batch) and (batch, seed) not in lost
            crossings[batch, seed] = Crossing(at if reached else None, last(batch), level, (batch, seed) in lost)
    return speedup(crossings)


def strategies(rng):
    """Fig. 2 left: three strategies, one of which diverges at the largest batch, and one of whose seeds does before."""
    gone = {"Linear scaling": {(4096, 0), (4096, 1), (4096, 2), (2048, 1)}, "Square root scaling": {(4096, 2)}}
    return pd.concat(
        curve(rng, critical, lost=gone.get(name, ())).assign(panel="ResNet-8 on CIFAR-10", series=name)
        for name, critical in CRITICAL.items()
    )


def problems(rng):
    """Fig. 3: other series in each panel."""
    nets = {"slim VGG16": 500.0, "slim AlexNet": 250.0, "ResNet-8": 900.0, "slim MobileNetV2": 200.0}
    sets = {"CIFAR-100 (subset)": 400.0, "CIFAR-10": 900.0, "MNIST": 2500.0}
    few = (64, 256, 1024, 2048, 4096)
    return pd.concat(
        curve(rng, critical, batches=few).assign(panel=panel, series=name)
        for panel, series in (("Networks, on CIFAR-10", nets), ("Data sets, ResNet-8", sets))
        for name, critical in series.items()
    )


def fractions(rng, panels=("CIFAR-10", "SVHN")):
    """Fig. 4."""
    return pd.concat(
        curve(rng, 700.0, batches=BATCHES[: 7 - drop]).assign(panel=panel, series=share)
        for panel in panels
        for share, drop in (("100 % of the data", 0), ("50 %", 0), ("25 %", 1))
    )


def breaks(panel="ResNet-8 on CIFAR-10"):
    return pd.DataFrame(
        [(panel, "linear until", 300.0, 200.0, 420.0), (panel, "flat from", 2600.0, 1900.0, 3400.0)],
        columns=["panel", "label", "batch", "low", "high"],
    )


def errors(rng):
    """Fig. 2 right: errors that grow as the batch does, and an accuracy that falls."""
    rows = []
    for batch in BATCHES:
        for seed in range(3):
            error = 2e-4 * (batch / 64) ** 2.1 * np.exp(rng.normal() * 0.3)
            accuracy = 71 - 0.7 * max(0, np.log2(batch) - 8) ** 1.8 + rng.normal() * 0.4
            gone = batch == 4096 and seed != 1
            rows.append(
                (batch, seed, np.nan if gone else error, np.nan if gone else error / 3, 10.0 if gone else accuracy)
            )
    return pd.DataFrame(rows, columns=["batch", "seed", "error", "same_batch_error", "test_accuracy"])


def budgets(rng):
    """The largest batch at one, two and four times the epochs, and the smallest at one."""
    rows = []
    for seed in range(3):
        noise = np.exp(rng.normal() * 0.05)
        rows.append(("batch 64, base rate", 15, seed, 420 * noise, True, 2343, False, 71 + rng.normal() * 0.4))
        for times in (1, 2, 4):
            for rule, steps, top in (("base rate", 95, 58), ("linear scaling", 60, 61)):
                at, end = steps * noise * (1 + 0.05 * times), 36 * times
                lost = rule == "linear scaling" and times == 4 and seed == 2
                reached = at <= end and not lost
                accuracy = 10.0 if lost else top + 4 * np.log2(times) + rng.normal() * 0.6
                rows.append(
                    (f"batch 4096, {rule}", 15 * times, seed, at if reached else np.nan, reached, end, lost, accuracy)
                )
    names = ["series", "epochs", "seed", "steps", "reached", "last_step", "diverged", "test_accuracy"]
    return pd.DataFrame(rows, columns=names)


CLAIM = {
    "id": "golmant-cost", "statement": "ResNet-8: past the linear regime the total cost rises",
    "source": "Sect. 4.1, SYNTHETIC test record", "reported": "rises (S)", "measured": 5.1, "uncertainty": [4.2, 6.1],
    "n_seeds": 3, "rule": "ratio above 1.5, at least 3 seeds", "verdict": "reproduced",
}  # fmt: skip


def write(root, scale="laptop"):
    """A results folder of the study with every figure; returns it."""
    rng = np.random.default_rng(0)
    folder = root / "golmant" / scale
    figures = []
    for name, draw, frame in (
        ("fig1", drawing.contours, surfaces(rng)),
        ("fig2left", drawing.speedups, strategies(rng)),
        ("fig2right", drawing.approximation, errors(rng)),
        ("fig3", drawing.speedups, problems(rng)),
        ("fig4", drawing.speedups, fractions(rng)),
        ("cost", drawing.costs, strategies(rng)),
        ("longer", drawing.longer, budgets(rng)),
    ):
        drawing.save(draw(frame, footer()), folder / "figures", name, frame)
        paths = {kind: f"figures/{name}.{kind}" for kind in ("pdf", "png", "csv")}
        figures.append({"name": name, "title": f"Synthetic {name}", "caption": "To look at the layout.", **paths})
    manifest = {
        "paper": "golmant", "scale": scale, "figures": figures, "title": "Synthetic", "citation": "Golmant et al.",
        "notes": ["All numbers of this part are synthetic: they test the report and mean nothing."],
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "claims.json").write_text(json.dumps([{**CLAIM, "scale": scale}]))
    return folder
