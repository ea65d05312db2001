"""The study of Keskar et al. in miniature: its figures, tables and claims on networks that train in a second.

`install` puts tiny recipes and settings in place of the real ones, in this process. Tests call it through the fixture
`command`; a command in a process of its own is `python tiny.py FOLDER EPOCHS ARGUMENTS...`.
"""

import copy
import sys
from dataclasses import replace
from pathlib import Path

import yaml

from reproduce import recipes
from reproduce.papers.keskar import trials

RECIPE = {
    "seed_everything": 0,
    "model": {
        "class_path": "bsgap.tasks.ImageClassification",
        "init_args": {
            "network": {
                "class_path": "bsgap.networks.SmallConvNet",
                "init_args": {"in_shape": [1, 8, 8], "classes": 10, "width": 4},
            },
            "optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.01}},
            "statistics": "batch",
        },
    },
    "data": {
        "class_path": "bsgap.data.ImageData",
        "init_args": {"source": "digits", "batch_size": 10, "train_examples": 100, "test_examples": 50},
    },
    "trainer": {"max_epochs": 3, "precision": "32-true"},
    "curves": {"per_epoch": 2},
    "keep": {"ends": True, "levels": [3.0, 2.0, 1.5]},
    "threads": 1,
}
SWEEP, STARTS = (10, 20), (1, 2, 30)  # no run lives to see epoch 30


def install(folder: Path, *, lr: float = 0.01, **sections) -> None:
    """Replace the recipes by the tiny one, and the settings of the demo scale by tiny ones.

    `sections` change the recipe: `trainer={"max_epochs": 2}`.
    """
    place = Path(folder) / "keskar"
    place.mkdir(parents=True, exist_ok=True)
    settings = copy.deepcopy(RECIPE) | {name: RECIPE.get(name, {}) | options for name, options in sections.items()}
    settings["model"]["init_args"]["optimizer"]["init_args"]["lr"] = lr
    for name in ("small", "f1"):
        (place / f"{name}.demo.yaml").write_text(yaml.safe_dump(settings))
    recipes.folder = lambda: Path(folder)
    recipes._resolved.cache_clear()
    demo = trials.SETTINGS["demo"]
    demo["small"] = replace(demo["small"], small=10, large=20, sweep=SWEEP, starts=STARTS, warm_epochs=1)
    demo["F1"] = replace(demo["F1"], small=10, large=20)


if __name__ == "__main__":
    from reproduce import cli, commands

    install(Path(sys.argv[1]), trainer={"max_epochs": int(sys.argv[2])})
    commands.published_folders = list
    sys.exit(cli.main(sys.argv[3:]))
