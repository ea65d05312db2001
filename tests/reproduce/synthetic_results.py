"""A results folder of made-up numbers, drawn with the real functions: every figure in it says that it is synthetic."""

import json

import numpy as np
import pandas as pd

from reproduce import drawing

NETWORKS = ("F1", "C1")
READINGS = ("(a) L-BFGS-B, end", "(b) sign ascent, end", "(a) L-BFGS-B, matched", "(b) sign ascent, matched")


def footer(scale, **more):
    return drawing.Footer(
        scale=scale,
        data="SYNTHETIC NUMBERS, F1 and C1 (analogue)",
        seeds=3,
        statistics="batch",
        machine="no machine",
        **more,
    )


def epochs(rng):
    rows = []
    for network in NETWORKS:
        for method, rate, top in (("SB", 0.3, 98.0), ("LB", 0.15, 96.5)):
            for seed in range(3):
                for epoch in range(31):
                    accuracy = top * (1 - 0.9 * np.exp(-rate * epoch)) + rng.normal() * 0.5
                    for split, lower in (("train", 0.0), ("test", 2.0)):
                        value = max(accuracy - lower, 5.0)
                        rows.append((network, method, seed, epoch, split, value))
    return pd.DataFrame(rows, columns=["network", "method", "seed", "epoch", "split", "accuracy"])


def path(rng, networks=NETWORKS):
    rows = []
    for network in networks:
        for seed in range(3):
            for alpha in np.linspace(-1, 2, 25):
                loss = 1e-3 + min(alpha**2, 12 * (alpha - 1) ** 2) * np.exp(rng.normal() * 0.2)
                for split, more in (("train", 0.0), ("test", 0.3)):
                    rows.append((network, seed, alpha, split, loss + more, 100 / (1 + loss + more)))
    return pd.DataFrame(rows, columns=["network", "seed", "alpha", "split", "loss", "accuracy"])


def batches(rng):
    rows = []
    for network in NETWORKS:
        for size in 2 ** np.arange(5, 13):
            for seed in range(3):
                accuracy = 97 - 0.3 * max(0.0, np.log2(size) - 8) ** 1.5 + rng.normal() * 0.1
                for reading, factor in ((READINGS[2], 1.0), (READINGS[3], 30.0)):
                    sharpness = factor * (size / 32) ** 0.8 * np.exp(rng.normal() * 0.2)
                    rows.append((network, int(size), seed, accuracy, sharpness, reading))
    return pd.DataFrame(rows, columns=["network", "batch_size", "seed", "test_accuracy", "sharpness", "reading"])


def warm(rng, networks=("F1",)):
    rows = []
    for network in networks:
        for epoch in range(0, 21, 2):
            for seed in range(3):
                small = 97 - 20 * np.exp(-epoch / 2) + rng.normal() * 0.2
                large = 96 + (1 - np.exp(-epoch / 6)) + rng.normal() * 0.15
                rows.append((network, seed, epoch, small, large, 300 * np.exp(-epoch / 5 + rng.normal() * 0.2)))
    return pd.DataFrame(rows, columns=["network", "seed", "sb_epoch", "sb_accuracy", "lb_accuracy", "sharpness"])


def along(rng):
    rows = []
    for network in NETWORKS:
        for method, power in (("SB", 0.4), ("LB", -0.5)):
            for seed in range(3):
                for epoch in range(12):
                    loss = 2.3 * np.exp(-0.6 * epoch + rng.normal() * 0.15)
                    rows.append((network, method, seed, epoch, loss, 20 * loss**power * np.exp(rng.normal() * 0.2)))
    return pd.DataFrame(rows, columns=["network", "method", "seed", "epoch", "loss", "sharpness"])


def ratios(rng):
    rows = [
        (network, seed, centre * np.exp(rng.normal() * 0.1))
        for network, centre in (("F1", 4.0), ("C1", 2.4))
        for seed in range(3)
    ]
    return pd.DataFrame(rows, columns=["network", "seed", "ratio"])


def accuracies(rng):
    rows = [
        (network, group, method, seed, centre - (0.6 if method == "LB" else 0.0) + rng.normal() * 0.1)
        for network in NETWORKS
        for group, centre in (("train accuracy (%)", 99.9), ("test accuracy (%)", 97.0))
        for method in ("SB", "LB")
        for seed in range(3)
    ]
    return pd.DataFrame(rows, columns=["row", "group", "column", "seed", "value"])


def sharpnesses(rng):
    rows = [
        (network, reading, group, method, seed, factor * (8.0 if method == "LB" else 1.0) * np.exp(rng.normal() * 0.3))
        for network in NETWORKS
        for reading, factor in zip(READINGS, (0.005, 5.0, 0.3, 20.0), strict=True)
        for group in ("ε = 10⁻³", "ε = 5·10⁻⁴")
        for method in ("SB", "LB")
        for seed in range(3)
    ]
    return pd.DataFrame(rows, columns=["row", "reading", "group", "column", "seed", "value"])


def reported(groups, numbers):
    rows = [
        (network, group, method, *numbers, "P")
        for network in ("F1", "F2", "C1")
        for group in groups
        for method in ("SB", "LB")
    ]
    return pd.DataFrame(rows, columns=["row", "group", "column", "mean", "std", "source"])


def claims(scale):
    rule = "reproduced if the 95 % interval of the paired effect lies wholly beyond {}"
    records = [
        ("accuracy-F1", "F1: the large batch tests worse at matched training loss", "0.22 points", 0.61, [0.31, 0.92],
         "0.1 points", "reproduced"),
        ("accuracy-C1", "C1: the large batch tests worse at matched training loss", "2.78 points", 0.2, [-0.4, 0.8],
         "0.5 points", "inconclusive"),
        ("sharp-F1", "F1: the large-batch solution is sharper", "a ratio of 167", 8.1, [6.2, 10.6],
         "a ratio of 2", "reproduced"),
        ("sharp-F1-a-end", "F1: the large-batch solution is sharper, to the letter at the end", "a ratio of 167", 1.6, [0.9, 2.8],
         "a ratio of 2", "inconclusive"),
        ("sharp-C1", "C1: the large-batch solution is sharper, reading (b) at matched loss", "a ratio of 24.7", 1.1, [0.8, 1.5],
         "a ratio of 2", "not reproduced"),
        ("path", "Linear path: the loss rises faster at the large-batch end than at the small-batch end", "yes, in all panels",
         3.4, [2.2, 5.3], "a ratio of 1.5", "reproduced"),
        ("batch", "The test accuracy falls as the batch grows", "threshold near 500 (C1)", -0.31, [-0.4, -0.22],
         "a slope of −0.1 points a doubling", "reproduced"),
        ("warm", "Large-batch training that starts from late small-batch iterates finds flatter solutions", "yes", 0.4,
         [0.1, 1.6], "a ratio of 2", "inconclusive"),
        ("distance", "The small-batch solution is 3 to 10 times as far from the start as the large-batch one", "3 to 10", 3.1,
         [2.2, 4.4], "a ratio of 3", "inconclusive"),
        ("F2", "F2 (TIMIT): the large batch tests worse", "4.57 points", None, None, "0.5 points", "not run"),
    ]  # fmt: skip
    return [
        {
            "id": name, "statement": statement, "source": "P, SYNTHETIC test record", "reported": was, "measured": measured,
            "uncertainty": ends, "n_seeds": 0 if measured is None else 3, "rule": rule.format(size), "verdict": verdict,
            "scale": scale,
        }
        for name, statement, was, measured, ends, size, verdict in records
    ]  # fmt: skip


def exhibits(folder, scale):
    """Draw everything into `folder`; the manifest's entries for figures and tables."""
    rng = np.random.default_rng(0)
    figures, tables = [], []

    def figure(name, title, frame, draw, caption="Synthetic numbers, to look at the layout.", **options):
        drawing.save(draw(frame, footer(scale, not_run=("F2 (TIMIT)",)), **options), folder / "figures", name, frame)
        paths = {kind: f"figures/{name}.{kind}" for kind in ("pdf", "png", "csv")}
        figures.append({"name": name, "title": title, "caption": caption, **paths})

    def table(name, title, made):
        drawing.save_table(made, folder / "tables", name)
        paths = {kind: f"tables/{name}.{kind}" for kind in ("tex", "csv")}
        tables.append({"name": name, "title": title, "caption": "Synthetic numbers.", **paths})

    behind = path(rng, ("C1",)).query("seed == 0").drop(columns="seed")
    figure("fig2", "Accuracy by epoch, small and large batch", epochs(rng), drawing.epoch_curves)
    figure(
        "fig3",
        "Loss and accuracy on the straight line between two solutions",
        path(rng),
        drawing.path_figure,
        authors=behind,
    )
    figure("fig4", "Test accuracy and sharpness against the batch size", batches(rng), drawing.against_batch)
    figure("fig5", "Large batch started from small-batch iterates", warm(rng), drawing.warm_start)
    figure("fig6", "Sharpness along a run", along(rng), drawing.scatter_path)
    ranges = pd.DataFrame({"network": ["F1", "C1"], "low": 3.0, "high": 10.0})
    figure(
        "distance", "Distance from the start, small batch over large", ratios(rng), drawing.points, value="ratio",
        y_label="distance ratio", reported=ranges, reported_label="reported: 3 to 10 [P]", log=True,
    )  # fmt: skip
    groups = ("train accuracy (%)", "test accuracy (%)")
    table(
        "table2",
        "Accuracy at the end of training",
        drawing.beside(accuracies(rng), reported(groups, (99.66, 0.05)), decimals=2),
    )
    groups = ("ε = 10⁻³", "ε = 5·10⁻⁴")
    table("table3", "Sharpness, full space", drawing.stacked(sharpnesses(rng), reported(groups, (28.58, 3.13))))
    return figures, tables


def write(root, scale="laptop", *, published=False, runs=12, paper="keskar"):
    """A whole results folder `root/<paper>/<scale>`; returns it."""
    folder = root / paper / scale
    folder.mkdir(parents=True)
    figures, tables = exhibits(folder, scale)
    machine = {
        "processor": "Synthetic CPU @ 2 GHz",
        "cores": 2,
        "memory_gib": 7.8,
        "accelerator": None,
        "os": "Linux x86_64",
    }
    other = {**machine, "processor": "Another & faster_CPU 100 %", "cores": 8}
    manifest = {
        "paper": paper,
        "title": "On Large-Batch Training for Deep Learning: Generalization Gap and Sharp Minima",
        "citation": "Keskar et al., ICLR 2017",
        "scale": scale,
        "date": "2026-01-31T12:00:00",
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "machine": machine,
        "versions": {"python": "3.12.3", "torch": "2.13.0", "pytorch-lightning": "2.6.6"},
        "jobs": 2,
        "seeds": 3,
        "runs": [
            {
                "id": f"{number:016x}",
                "label": f"{NETWORKS[number % 2]}, batch {256 if number % 4 < 2 else 6000}, seed {number // 4}",
                "status": "diverged" if number == 5 else "finished",
                "published": published,
                "seconds": 31.4 + number,
                "machine": other if number == 3 else machine,
            }
            for number in range(runs)
        ],
        "figures": figures,
        "tables": tables,
        "claims_file": "claims.json",
        "not_run": ["F2: TIMIT is licensed", "C2: too slow", "C3: too slow"],
        "notes": ["All numbers of this part are synthetic: they test the report and mean nothing."],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "claims.json").write_text(json.dumps(claims(scale)))
    return folder
