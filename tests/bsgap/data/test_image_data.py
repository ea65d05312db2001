import json

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from jsonargparse import ArgumentParser

from bsgap.data import FixedLoader, ImageData, TensorLoader
from bsgap.errors import MissingData, UsageError

# Lightning 2.6 asks torch's pytrees in a way that torch 2.13 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning")


class Recorder(pl.LightningModule):
    """A linear model that keeps the targets and the sum of the inputs of each batch."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(64, 10)
        self.seen = []
        self.evaluated = []

    def training_step(self, batch, batch_idx):
        inputs, targets = batch
        self.seen.append((float(inputs.double().sum()), targets.tolist()))
        return torch.nn.functional.cross_entropy(self.layer(inputs.flatten(1)), targets)

    def validation_step(self, batch, batch_idx):
        self.evaluated.append(batch[1].tolist())

    test_step = validation_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SaveAt(pl.Callback):
    """Saves a checkpoint after that many steps, or at the end of the epoch."""

    def __init__(self, path, steps=None):
        self.path, self.steps = path, steps

    def on_train_batch_end(self, trainer, *args):
        if trainer.global_step == self.steps:
            trainer.save_checkpoint(self.path)

    def on_train_epoch_end(self, trainer, *args):
        if self.steps is None:
            trainer.save_checkpoint(self.path)


def trainer(folder, **options):
    options = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "default_root_dir": folder,
    } | options
    return pl.Trainer(**options)


def data(**options):
    return ImageData(**{"batch_size": 90, "train_examples": 400, "seed": 1} | options)


@pytest.mark.parametrize("augment", ["none", "crop-flip"])
@pytest.mark.parametrize("steps", [1, 2, 4, 5, 7, 10])
@pytest.mark.parametrize("validation", [0, 100])
def test_resume_is_exact_in_mid_epoch_and_at_its_end(tmp_path, augment, steps, validation):
    def make():
        return data(augment=augment, validation_examples=validation)

    torch.manual_seed(0)
    start = Recorder().state_dict()
    whole = Recorder()
    whole.load_state_dict(start)
    trainer(tmp_path, max_epochs=3).fit(whole, make())
    assert len(whole.seen) == 15  # five batches an epoch: 4 x 90 + 40

    first = Recorder()
    first.load_state_dict(start)
    trainer(tmp_path, max_steps=steps, callbacks=[SaveAt(tmp_path / "at.ckpt", steps)]).fit(first, make())
    second = Recorder()
    trainer(tmp_path, max_epochs=3).fit(second, make(), ckpt_path=tmp_path / "at.ckpt", weights_only=True)
    assert first.seen + second.seen == whole.seen
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])


def test_resume_from_the_end_of_an_epoch(tmp_path):
    whole, first, second = Recorder(), Recorder(), Recorder()
    trainer(tmp_path, max_epochs=3).fit(whole, data())
    trainer(tmp_path, max_epochs=1, callbacks=[SaveAt(tmp_path / "at.ckpt")]).fit(first, data())
    trainer(tmp_path, max_epochs=3).fit(second, data(), ckpt_path=tmp_path / "at.ckpt", weights_only=True)
    assert first.seen + second.seen == whole.seen


def test_a_second_fit_begins_again(tmp_path):
    images = data()
    runs = [Recorder(), Recorder()]
    for module in runs:
        trainer(tmp_path, max_epochs=2).fit(module, images)
    assert runs[0].seen == runs[1].seen


def test_continuing_one_trainer_equals_one_long_fit(tmp_path):
    whole, parts = Recorder(), Recorder()
    trainer(tmp_path, max_epochs=3).fit(whole, data())
    images, short = data(), trainer(tmp_path, max_epochs=1)
    short.fit(parts, images)
    short.fit_loop.max_epochs = 3
    short.fit(parts, images)
    assert parts.seen == whole.seen


def test_reloading_the_loader_every_epoch_changes_nothing(tmp_path):
    runs = [Recorder(), Recorder()]
    trainer(tmp_path, max_epochs=3).fit(runs[0], data())
    trainer(tmp_path, max_epochs=3, reload_dataloaders_every_n_epochs=1).fit(runs[1], data())
    assert runs[0].seen == runs[1].seen


def test_checkpoint_of_another_seed_is_refused(tmp_path):
    trainer(tmp_path, max_steps=2, callbacks=[SaveAt(tmp_path / "at.ckpt", 2)]).fit(Recorder(), data())
    with pytest.raises(UsageError, match="1 as the seed, this run 2"):
        trainer(tmp_path, max_epochs=2).fit(Recorder(), data(seed=2), ckpt_path=tmp_path / "at.ckpt", weights_only=True)


def test_evaluation_starts_at_the_first_batch_whatever_was_cut_short(tmp_path):
    images = data(validation_examples=100, evaluation_batch_size=40)
    module = Recorder()
    trainer(tmp_path, max_epochs=2, num_sanity_val_steps=1).fit(module, images)
    batches = [targets.tolist() for _, targets in images.batches("validation")]
    assert [len(batch) for batch in batches] == [40, 40, 20]
    assert module.evaluated == [batches[0], *batches, *batches]
    module.evaluated.clear()
    trainer(tmp_path).test(module, images, verbose=False)
    assert module.evaluated == [targets.tolist() for _, targets in images.batches("test")]


def test_without_validation_examples_nothing_is_validated(tmp_path):
    module, images, fits = Recorder(), data(), trainer(tmp_path, max_epochs=1)
    fits.fit(module, images)
    assert images.val_dataloader() == []
    assert module.evaluated == []
    assert fits.limit_val_batches == 1.0
    with pytest.raises(UsageError, match="Set validation_examples"):
        fits.validate(module, images)
    with pytest.raises(UsageError, match="Set validation_examples"):
        images.batches("validation")


def test_the_global_seed_decides_where_none_is_given(tmp_path, monkeypatch):
    def order(seed):
        monkeypatch.setenv("PL_GLOBAL_SEED", str(seed))
        return [targets.tolist() for _, targets in data(seed=None).train_dataloader()]

    assert order(5) == order(5)
    assert order(5) != order(6)
    assert order(1) == [targets.tolist() for _, targets in data().train_dataloader()]


def test_loaders_and_properties_work_without_a_trainer():
    images = data(validation_examples=50, normalise="unit")
    assert isinstance(images.train_dataloader(), TensorLoader)
    assert isinstance(images.test_dataloader(), FixedLoader)
    assert (images.classes, images.in_shape, images.n_train, images.n_test) == (10, (1, 8, 8), 400, 797)
    (inputs, targets), *_ = images.train_dataloader()
    assert (inputs.dtype, targets.dtype, inputs.shape) == (torch.float32, torch.int64, (90, 1, 8, 8))
    assert 0 <= float(inputs.min()) < float(inputs.max()) == 1


def test_description_is_json_and_names_no_path():
    described = data(root="somewhere/private").describe()
    assert "private" not in json.dumps(described)
    assert described["source"] == "digits"
    assert described["train_examples"] == 400
    assert described["sample_examples"] == 400


def test_batches_are_fixed_nested_and_balanced():
    images = data(train_examples=None, batch_size=64)
    whole = images.batches("train")
    assert [len(targets) for _, targets in whole] == [1000]
    small = images.batches("train", examples=100, batch_size=30)
    assert [len(targets) for _, targets in small] == [30, 30, 30, 10]
    assert torch.equal(torch.cat([inputs for inputs, _ in small]), whole[0][0][:100])
    counts = torch.bincount(torch.cat([targets for _, targets in small]))
    assert counts.min() >= 8
    assert counts.max() <= 12
    assert torch.equal(images.batches("train", examples=100, batch_size=30)[3][0], small[3][0])


def test_batches_on_a_named_device():
    inputs, targets = data(normalise="standard").batches("test", device="meta")[0]
    assert (inputs.device.type, targets.device.type) == ("meta", "meta")


def test_an_epoch_that_is_cut_short_goes_on_where_it_stopped(tmp_path):
    whole, short = Recorder(), Recorder()
    trainer(tmp_path, max_epochs=2).fit(whole, data())
    trainer(tmp_path, max_steps=10, limit_train_batches=2).fit(short, data())
    assert short.seen == whole.seen


def test_sample_is_of_the_training_examples_and_the_same_for_every_seed():
    samples = [data(seed=seed, sample_examples=50).batches("sample")[0] for seed in (1, 2)]
    assert torch.equal(samples[0][0], samples[1][0])
    train = data().batches("train")[0]
    assert torch.equal(samples[0][0], train[0][:50])
    assert torch.equal(samples[0][1], train[1][:50])


def test_another_subset_seed_is_another_subset():
    one, other = (data(subset_seed=seed).batches("train")[0][0] for seed in (0, 1))
    assert not torch.equal(one.sum(0), other.sum(0))


def test_batches_are_not_augmented_and_the_training_ones_are():
    plain, augmented = data(), data(augment="crop-flip")
    assert torch.equal(plain.batches("train")[0][0], augmented.batches("train")[0][0])
    first, second = next(iter(plain.train_dataloader())), next(iter(augmented.train_dataloader()))
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], second[0])


def test_standard_normalisation_is_of_the_whole_training_set():
    inputs = torch.cat([inputs for inputs, _ in data(train_examples=None, normalise="standard").batches("train")])
    assert float(inputs.double().mean()) == pytest.approx(0, abs=1e-6)
    assert float(inputs.double().std(correction=0)) == pytest.approx(1, abs=1e-6)
    part = data(train_examples=100, batch_size=50, normalise="standard").batches("train")[0][0]
    assert abs(float(part.mean())) > 1e-4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"source": "imagenet"}, "must be one of digits"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        ({"batch_size": -5}, "got -5"),
        ({"batch_size": 2.5}, "got 2.5"),
        ({"batch_size": True}, "got True"),
        ({"train_examples": 0}, "train_examples must be"),
        ({"train_examples": 10, "train_fraction": 0.5}, "exclude each other"),
        ({"train_fraction": 0.0}, "above 0 and at most 1, got 0.0"),
        ({"train_fraction": 1.5}, "above 0 and at most 1, got 1.5"),
        ({"train_fraction": float("nan")}, "above 0 and at most 1, got nan"),
        ({"test_examples": 0}, "test_examples must be"),
        ({"validation_examples": -1}, "validation_examples must be an integer of at least 0"),
        ({"evaluation_batch_size": 0}, "evaluation_batch_size must be"),
        ({"sample_examples": 0}, "sample_examples must be"),
        ({"normalise": "zca"}, "normalise must be one of unit, standard, got 'zca'"),
        ({"augment": "cutout"}, "augment must be one of none, crop-flip"),
        ({"last": "pad"}, "last must be one of keep, drop"),
    ],
)
def test_wrong_options_are_refused_at_once(options, words):
    with pytest.raises(UsageError, match=words) as raised:
        ImageData(**options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 1001}, "at most the 1000 training examples, got 1001"),
        ({"batch_size": 500, "train_examples": 499}, "at most the 499 training examples"),
        ({"batch_size": 111}, "leave a last batch of one"),
        ({"validation_examples": 1000}, "must leave some of the 1000"),
        ({"train_examples": 1001}, "at most the 1000 of digits"),
        ({"test_examples": 798}, "at most the 797 of digits"),
    ],
)
def test_options_that_do_not_fit_the_data_are_refused_in_setup(options, words):
    with pytest.raises(UsageError, match=words) as raised:
        ImageData(**options).setup("fit")
    assert "\n" not in str(raised.value)


def test_a_last_batch_of_one_may_be_dropped_and_batches_of_one_are_allowed():
    assert len(ImageData(batch_size=111, last="drop").train_dataloader()) == 9
    assert len(ImageData(batch_size=1).train_dataloader()) == 1000


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"split": "dev"}, "split must be one of"),
        ({"split": "train", "examples": 401}, "at most the 400 of the train split, got 401"),
        ({"split": "train", "examples": 0}, "examples must be an integer of at least 1"),
        ({"split": "train", "batch_size": 0}, "batch_size must be an integer of at least 1"),
    ],
)
def test_batches_that_cannot_be_had(call, words):
    with pytest.raises(UsageError, match=words):
        data().batches(**call)


def test_crop_and_flip_need_images(tmp_path):
    (tmp_path / "timit").mkdir()
    for split in ("train", "test"):  # synthetic frames
        np.save(tmp_path / "timit" / f"X_{split}.npy", np.ones((8, 360), np.float32))
        np.save(tmp_path / "timit" / f"y_{split}.npy", np.arange(8) % 4)
    frames = ImageData("timit", 4, root=str(tmp_path))
    assert (frames.in_shape, frames.classes) == ((360,), 4)
    assert frames.batches("test")[0][0].shape == (8, 360)
    with pytest.raises(UsageError, match="needs images, and timit has none"):
        ImageData("timit", 4, root=str(tmp_path), augment="crop-flip").setup()


def test_root_is_taken_from_the_environment(synthetic_cifar, tmp_path, monkeypatch):
    monkeypatch.setenv("BSGAP_DATA", str(tmp_path))
    with pytest.raises(MissingData):
        ImageData("cifar100", 5).setup()
    synthetic_cifar(tmp_path, "cifar100")
    images = ImageData("cifar100", 5)
    images.setup()
    assert (images.n_train, images.classes) == (20, 100)
    assert images.note.startswith("subset")
    assert images.describe()["note"] == images.note


class TwoRanks:
    """What the module asks of a trainer of two devices."""

    world_size, current_epoch, limit_val_batches = 2, 0, 1.0

    def __init__(self, rank):
        self.global_rank = rank
        self.strategy = type("Strategy", (), {"root_device": torch.device("cpu")})


def ranked(rank, **options):
    images = data(**options)
    images.trainer = TwoRanks(rank)
    images.setup("fit")
    return images


def test_two_ranks_share_every_batch_and_measures_see_all():
    whole = list(data().train_dataloader())
    shares = [list(ranked(rank).train_dataloader()) for rank in (0, 1)]
    for (inputs, targets), left, right in zip(whole, *shares, strict=True):
        assert torch.equal(torch.cat([left[0], right[0]]), inputs)
        assert torch.equal(torch.cat([left[1], right[1]]), targets)
    assert sum(len(targets) for rank in (0, 1) for _, targets in ranked(rank).test_dataloader()) == 797
    assert sum(len(targets) for _, targets in ranked(1).batches("test")) == 797


@pytest.mark.parametrize("options", [{"batch_size": 45}, {"train_examples": 399}])
def test_batches_that_two_ranks_cannot_share_evenly_are_refused(options):
    with pytest.raises(UsageError, match="do not share out evenly over 2 devices"):
        ranked(0, **options)


def test_every_option_has_help():
    parser = ArgumentParser()
    parser.add_class_arguments(ImageData, "data")
    for action in parser._actions:
        if action.dest.startswith("data."):
            assert action.help, action.dest


@pytest.mark.realdata
def test_real_mnist_through_the_module(real_data):
    images = ImageData("mnist", 256, root=real_data, train_fraction=0.1, normalise="standard", test_examples=1000)
    images.setup("fit")
    assert (images.n_train, images.n_test, images.in_shape, images.note) == (6000, 1000, (1, 28, 28), "")
    assert sum(len(targets) for _, targets in images.train_dataloader()) == 6000
    counts = torch.bincount(torch.cat([targets for _, targets in images.batches("train")]))
    published = torch.tensor([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
    assert (counts - published / 10).abs().max() <= 1
