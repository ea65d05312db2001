import csv

import pytest
import pytorch_lightning as pl
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from bsgap.callbacks import LossLandscape, landscape, landscape_picture
from bsgap.errors import UsageError
from bsgap.measures import Surface, random_direction, surface

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader` but have no `validation_step`"),
    pytest.mark.filterwarnings("ignore:.*The number of training batches.*is smaller than the logging interval"),
]


class Stranger(pl.LightningModule):
    """Somebody's module: automatic optimisation, dropout, BatchNorm, no method that bsgap knows."""

    def __init__(self, rate=0.01):
        super().__init__()
        self.rate = rate
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))

    def forward(self, x):
        return self.layers(x)

    def training_step(self, batch, _):
        return cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.rate, momentum=0.9)


@pytest.fixture
def data():
    draws = torch.Generator().manual_seed(2)
    return TensorDataset(torch.randn(50, 6, generator=draws), torch.randint(0, 3, (50,), generator=draws))


@pytest.fixture
def fit(data, tmp_path):
    def run(*callbacks, epochs=2, rate=0.01, **options):
        torch.manual_seed(0)
        module = Stranger(rate)
        options = {"logger": False, "enable_checkpointing": False, "default_root_dir": tmp_path} | options
        trainer = pl.Trainer(
            max_epochs=epochs, accelerator="cpu", callbacks=list(callbacks), enable_progress_bar=False,
            enable_model_summary=False, **options,
        )  # fmt: skip
        trainer.fit(module, DataLoader(data, batch_size=16, shuffle=True))
        return trainer, module

    return run


@pytest.mark.parametrize(
    "options", [{"points": 3}, {"every_n_epochs": 1, "dimensions": 2, "points": 3, "statistics": "recomputed"}]
)
def test_run_with_it_equals_run_without_it(fit, options):
    _, expected = fit()
    _, module = fit(LossLandscape(**options))
    assert module.training == expected.training
    for name, value in expected.state_dict().items():
        assert torch.equal(module.state_dict()[name], value), name


def test_measures_the_surface_of_the_training_loss(fit, data):
    callback = LossLandscape(points=5, span=0.5, seed=7, dimensions=2)
    _, module = fit(callback)
    (found,) = callback.results
    directions = [random_direction(module, seed) for seed in (7, 8)]
    expected = surface(module, [data[:]], directions, [-0.5, -0.25, 0, 0.25, 0.5])
    assert found.alphas == found.betas == expected.alphas
    for row, wanted in zip(found.losses["train"], expected.losses["train"], strict=True):
        assert row == pytest.approx(wanted, rel=1e-4)
    assert found.examples == 50


def test_files_are_written_beside_the_run(fit, tmp_path):
    line, plane = LossLandscape(every_n_epochs=1, points=3), LossLandscape(dimensions=2, points=3, name="plane")
    fit(line, plane)
    names = sorted(path.name for path in (tmp_path / "landscape").iterdir())
    assert names == [f"step-{step}.{kind}" for step in (4, 8) for kind in ("csv", "pdf", "png")]
    assert sorted(path.suffix for path in (tmp_path / "plane").iterdir()) == [".csv", ".pdf", ".png", ".vtk"]
    with (tmp_path / "landscape" / "step-8.csv").open() as stream:
        losses = [float(row["loss"]) for row in csv.DictReader(stream)]
    assert losses == line.results[-1].losses["train"]
    assert (tmp_path / "plane" / "step-8.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(("dimensions", "seeds"), [(1, "seed 4,"), (2, "seeds 4 and 5,")])
def test_the_title_names_every_seed(fit, monkeypatch, dimensions, seeds):
    titles = []
    monkeypatch.setattr(landscape, "draw", lambda found, stem, title: titles.append(title))
    fit(LossLandscape(points=2, dimensions=dimensions, seed=4), epochs=1)
    assert titles == [f"filter-normalised random directions, {seeds} step 4, running statistics"]


@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.5, -0.3), (-1.0, -1.0)])
def test_no_label_of_a_level_is_cut_off_by_the_rim(monkeypatch, tmp_path, centre):
    steps = tuple(index / 10 - 1 for index in range(21))
    losses = [[0.01 + 100 * ((a - centre[0]) ** 2 + (b - centre[1]) ** 2) for b in steps] for a in steps]
    found = Surface(steps, steps, {"train": losses}, {"train": losses}, {"train": 0.01}, "running", 50, 441)
    figures, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **kw: figures.append(self) or save(self, *args, **kw))
    landscape_picture.draw(found, tmp_path / "x", "title")
    canvas = FigureCanvasAgg(figures[0])
    canvas.draw()
    axis = figures[0].axes[0]
    labels = [text for text in axis.texts if text.get_text()]
    assert len(labels) >= 2
    for label in labels:
        box = label.get_window_extent(canvas.get_renderer())
        assert axis.bbox.contains(box.x0, box.y0), label
        assert axis.bbox.contains(box.x1, box.y1), label


@pytest.mark.parametrize(("least", "scale", "different"), [(-3.0, 1.0, 3), (1.2, 0.01, 3), (0.0, 1.0, 3)])
def test_level_lines_of_any_loss_have_labels_of_their_own(monkeypatch, tmp_path, least, scale, different):
    """Also where losses are negative, as a density's logarithm may be, or close together."""
    kept, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **kw: kept.append(self) or save(self, *args, **kw))
    steps = tuple(index / 5 - 1 for index in range(11))
    rows = [[least + scale * (a**2 + 2 * b**2) for b in steps] for a in steps]
    found = Surface(steps, steps, {"train": rows}, {"train": [[None] * 11] * 11}, {"train": least}, "running", 1, 1)
    landscape_picture.draw(found, tmp_path / "x", "title")
    texts = [text.get_text() for text in kept[0].axes[0].texts]
    assert "no grid" not in str(texts)
    assert len(set(texts)) >= different


def test_a_label_near_the_rim_is_dropped():
    found = Surface((0.0, 1.0), (-2.0, 2.0), {}, {}, {}, "running", 1, 4)
    assert landscape_picture._inside((0.1, 0.0), found)
    for place in ((0.05, 0.0), (0.95, 0.0), (0.5, -1.8), (0.5, 1.8)):
        assert not landscape_picture._inside(place, found)


def test_folder_of_ones_own(fit, tmp_path):
    fit(LossLandscape(points=2, folder=str(tmp_path / "mine")), epochs=1)
    assert {path.suffix for path in (tmp_path / "mine").iterdir()} == {".csv", ".pdf", ".png"}


def test_least_and_largest_loss_are_logged(fit, tmp_path):
    callback = LossLandscape(every_n_epochs=1, points=3)
    trainer, _ = fit(callback, logger=CSVLogger(tmp_path))
    losses = callback.results[-1].losses["train"]
    assert trainer.callback_metrics["landscape/min"].item() == pytest.approx(min(losses))
    assert trainer.callback_metrics["landscape/max"].item() == pytest.approx(max(losses))
    assert "landscape/min" in next(tmp_path.rglob("metrics.csv")).read_text()


@pytest.mark.parametrize("dimensions", [1, 2])
def test_results_travel_in_a_checkpoint(fit, tmp_path, dimensions):
    callback = LossLandscape(every_n_epochs=1, points=2, dimensions=dimensions)
    trainer, _ = fit(callback)
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    states = torch.load(tmp_path / "x.ckpt", weights_only=True)["callbacks"]
    other = LossLandscape()
    other.load_state_dict(states[other.state_key])
    assert other.results == callback.results
    assert len(other.results) == 2


def test_a_loss_that_is_no_longer_finite_is_no_failure(fit, tmp_path):
    callback = LossLandscape(points=3)
    with pytest.warns(UserWarning, match="not measured at step 8: the model's own weights are not finite"):
        fit(callback, rate=1e38)
    assert callback.results == []


def test_a_folder_that_cannot_be_written_to_is_refused_at_the_start(fit, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write to"):
        fit(LossLandscape(folder=str(tmp_path / "file" / "below")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": 0}, "points must be at least 1"),
        ({"every_n_epochs": 0}, "every_n_epochs must be at least 1"),
        ({"dimensions": 3}, "dimensions must be 1 or 2, got 3"),
        ({"span": 0}, "span must be positive and finite, got 0"),
        ({"span": float("inf")}, "span must be positive and finite"),
        ({"normalise": "weights"}, "normalise must be one of filter, layer, none, got 'weights'"),
        ({"statistics": "train"}, "statistics must be one of batch, running, recomputed"),
    ],
)
def test_usage_errors(options, message):
    with pytest.raises(UsageError, match=message):
        LossLandscape(**options)
