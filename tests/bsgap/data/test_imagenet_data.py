import json

import pytest
import pytorch_lightning as pl
import torch
from jsonargparse import ArgumentParser
from synthetic_photos import synthetic_imagenet

from bsgap.data import ImageNetData
from bsgap.errors import MissingData, UsageError


@pytest.fixture
def root(tmp_path):
    synthetic_imagenet(tmp_path)
    return str(tmp_path)


def data(root, **options):
    return ImageNetData(**{"root": root, "batch_size": 4, "crop": 12, "resize": 16, "seed": 1, **options})


class Recorder(pl.LightningModule):
    """One linear layer that keeps the sums of the batches it sees."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3 * 12 * 12, 3)
        self.seen = []

    def training_step(self, batch, batch_idx):
        inputs, targets = batch
        self.seen.append((float(inputs.double().sum()), targets.tolist()))
        return torch.nn.functional.cross_entropy(self.layer(inputs.flatten(1)), targets)

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SaveAt(pl.Callback):
    def __init__(self, path, steps):
        self.path, self.steps = path, steps

    def on_train_batch_end(self, trainer, *args):
        if trainer.global_step == self.steps:
            trainer.save_checkpoint(self.path)


def fit(images, folder, ckpt_path=None, **options):
    trainer = pl.Trainer(
        default_root_dir=folder, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_model_summary=False, enable_progress_bar=False, **options,
    )  # fmt: skip
    module = Recorder()
    trainer.fit(module, images, ckpt_path=ckpt_path, weights_only=True if ckpt_path else None)
    return module.seen


@pytest.mark.parametrize("steps", [2, 4, 5])
def test_resume_is_exact_in_mid_epoch_and_at_its_end(root, tmp_path, steps):
    whole = fit(data(root), tmp_path, max_epochs=2)
    assert len(whole) == 8  # 4 + 4 + 4 + 3 an epoch
    first = fit(data(root), tmp_path, max_steps=steps, callbacks=[SaveAt(tmp_path / "at.ckpt", steps)])
    assert first + fit(data(root), tmp_path, max_epochs=2, ckpt_path=tmp_path / "at.ckpt") == whole


def test_properties_types_and_normalisation(root):
    images = data(root)
    assert (images.classes, images.class_names[0], images.in_shape) == (3, "n00000007", (3, 12, 12))
    assert (images.n_train, images.n_test, len(images.train_dataloader())) == (15, 6, 4)
    inputs, targets = next(iter(images.train_dataloader()))
    assert (inputs.shape, inputs.dtype) == ((4, 3, 12, 12), torch.float32)
    assert (targets.shape, targets.dtype) == ((4,), torch.int64)
    assert ImageNetData(root=root).in_shape == (3, 224, 224)
    unit = next(iter(data(root, normalise="unit").train_dataloader()))[0]
    assert 0 <= unit.min() < unit.max() <= 1
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(inputs, (unit - mean.view(3, 1, 1)) / std.view(3, 1, 1))


def test_without_augmentation_every_epoch_has_the_centres(root):
    images = data(root, augment="none")
    loader = images.train_dataloader()
    first, second = (torch.cat([inputs for inputs, _ in loader]) for _ in range(2))
    fixed = torch.cat([inputs for inputs, _ in images.batches("train")])
    for epoch in (first, second):
        assert {image.numpy().tobytes() for image in epoch} == {image.numpy().tobytes() for image in fixed}
    assert not torch.equal(first, second)


def test_description_is_json_and_says_that_nothing_is_kept(root):
    described = data(root).describe()
    assert root not in json.dumps(described)
    assert described["kept"] == "streamed from files"
    assert (described["train_examples"], described["test_examples"], described["sample_examples"]) == (15, 6, 15)
    assert described["note"].startswith("3 of 1000 classes, subset: 15 training examples")


def everything(batches):
    return torch.cat([inputs for inputs, _ in batches]), torch.cat([targets for _, targets in batches])


def test_splits_are_balanced_nested_and_apart(root):
    images = data(root, validation_examples=5, sample_examples=4)
    assert (images.n_train, images.n_test) == (10, 6)
    parts = [everything(images.batches(split)) for split in ("train", "validation", "test")]
    assert len({image.numpy().tobytes() for inputs, _ in parts for image in inputs}) == 21
    assert torch.bincount(parts[1][1]).tolist() == [2, 1, 2]  # of 6, 4 and 5
    small = everything(data(root, train_examples=6, validation_examples=5).batches("train"))
    assert torch.equal(small[0], parts[0][0][:6])
    assert torch.equal(everything(images.batches("sample"))[0], parts[0][0][:4])
    assert len(everything(data(root, train_fraction=0.5).batches("train"))[1]) == 8
    assert torch.equal(everything(images.batches("test", examples=5, batch_size=2))[0], parts[2][0][:5])
    streamed = images.batches("test", batch_size=4)
    assert [len(list(streamed)) for _ in range(2)] == [2, 2]


def test_validation_runs_in_a_fit(root, tmp_path):
    assert len(fit(data(root, validation_examples=3), tmp_path, max_epochs=1)) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"source": "places"}, "photograph source must be one of imagenet, got 'places'"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        ({"resize": 11}, "resize must be at least crop, 12 pixels, got 11"),
        ({"crop": 0}, "crop must be an integer of at least 1"),
        ({"train_examples": 3, "train_fraction": 0.1}, "exclude each other"),
        ({"augment": "crop-flip"}, "augment must be one of none, scale-aspect-flip, got 'crop-flip'"),
        ({"normalise": "zca"}, "normalise must be one of"),
        ({"last": "pad"}, "last must be one of"),
        ({"validation_examples": -1}, "validation_examples must be"),
    ],
)
def test_wrong_options_are_refused_at_once(options, words):
    with pytest.raises(UsageError, match=words) as raised:
        data("nowhere", **options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 16}, "at most the 15 training examples, got 16"),
        ({"batch_size": 7}, "leave a last batch of one"),
        ({"train_examples": 16}, "train_examples must be at most the 15 of imagenet, got 16"),
        ({"test_examples": 7}, "test_examples must be at most the 6 of imagenet, got 7"),
        ({"validation_examples": 15}, "must leave some of the 15 training examples"),
    ],
)
def test_options_that_do_not_fit_the_data_are_refused_in_setup(root, options, words):
    with pytest.raises(UsageError, match=words):
        data(root, **options).setup("fit")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"split": "dev"}, "split must be one of"),
        ({"split": "validation"}, "Set validation_examples"),
        ({"split": "train", "examples": 16}, "at most the 15 of the train split, got 16"),
    ],
)
def test_batches_that_cannot_be_had(root, call, words):
    with pytest.raises(UsageError, match=words):
        data(root).batches(**call)


def test_without_the_images_a_fit_says_what_is_missing(tmp_path):
    with pytest.raises(MissingData, match="ImageNet is not at hand"):
        data(str(tmp_path)).setup("fit")


def test_every_option_has_help():
    parser = ArgumentParser()
    parser.add_class_arguments(ImageNetData, "data")
    for action in parser._actions:
        if action.dest.startswith("data."):
            assert action.help, action.dest
