import json

import pytest
import pytorch_lightning as pl
import torch
from jsonargparse import ArgumentParser
from synthetic_scenes import synthetic_camvid, synthetic_cityscapes

from bsgap.data import SceneData, scenes
from bsgap.errors import UsageError


def data(**options):
    return SceneData(**{"batch_size": 10, "seed": 1, "shrink": 4, **options})


class Recorder(pl.LightningModule):
    """One convolution that keeps the sums of the batches it sees."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 8, 1)
        self.seen = []

    def training_step(self, batch, batch_idx):
        inputs, targets = batch
        self.seen.append((float(inputs.double().sum()), targets.flatten(1).sum(1).tolist()))
        return torch.nn.functional.cross_entropy(self.layer(inputs), targets, ignore_index=255)

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


def fit(module, images, folder, ckpt_path=None, **options):
    trainer = pl.Trainer(
        default_root_dir=folder, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_model_summary=False, enable_progress_bar=False, **options,
    )  # fmt: skip
    trainer.fit(module, images, ckpt_path=ckpt_path, weights_only=True if ckpt_path else None)
    return module


@pytest.mark.parametrize("steps", [1, 3, 5, 6, 10, 12])
def test_resume_is_exact_in_mid_epoch_and_at_its_end(tmp_path, steps):
    def make():
        return data(train_examples=24, crop=(10, 12), crops_per_image=2)

    whole = fit(Recorder(), make(), tmp_path, max_epochs=3)
    assert len(whole.seen) == 15  # five batches an epoch: 4 x 10 + 8
    save = SaveAt(tmp_path / "at.ckpt", steps)
    first = fit(Recorder(), make(), tmp_path, max_steps=steps, callbacks=[save])
    second = fit(Recorder(), make(), tmp_path, max_epochs=3, ckpt_path=tmp_path / "at.ckpt")
    assert first.seen + second.seen == whole.seen


@pytest.mark.parametrize("options", [{}, {"crop": (4, 5), "crops_per_image": 3, "normalise": "standard"}])
def test_streaming_yields_the_bits_of_the_device(tmp_path, options):
    synthetic_camvid(tmp_path)
    made = [
        SceneData("camvid", 4, root=str(tmp_path), seed=2, evaluation_batch_size=3, resident=resident, **options)
        for resident in ("always", "never", "auto")
    ]
    for _ in range(2):
        for one, *others in zip(*(images.train_dataloader() for images in made), strict=True):
            for other in others:
                assert torch.equal(one[0], other[0])
                assert torch.equal(one[1], other[1])
    for split in ("train", "test", "sample"):
        for one, *others in zip(*(images.batches(split) for images in made), strict=True):
            assert all(torch.equal(one[0], other[0]) and torch.equal(one[1], other[1]) for other in others)
    assert [images.describe()["kept"] for images in made] == ["on the device", "streamed from files", "on the device"]
    streamed = made[1].batches("test")
    assert [len(list(streamed)) for _ in range(2)] == [1, 1]  # 4 scenes by 3: the last one alone joins the others


def test_auto_streams_what_is_larger_than_its_limit(tmp_path, monkeypatch):
    synthetic_camvid(tmp_path)  # 6 + 4 scenes of 12 x 16 pixels, 4 bytes each
    for limit, kept in ((10 * 12 * 16 * 4, True), (10 * 12 * 16 * 4 - 1, False)):
        monkeypatch.setattr(scenes, "RESIDENT_BYTES", limit)
        images = SceneData("camvid", 2, root=str(tmp_path))
        images.setup()
        assert (images.describe()["kept"] == "on the device") is kept
        assert isinstance(images.batches("test"), list) is kept
    small = SceneData("camvid", 2, root=str(tmp_path), shrink=2)
    small.setup()
    assert small.describe()["kept"] == "on the device"


def test_properties_and_types():
    images = SceneData(crop=(32, 48), crops_per_image=3)
    assert (images.classes, images.class_names[0], images.ignore_label) == (8, "sky", 255)
    assert (images.n_train, images.n_test, images.in_shape, images.epoch_examples) == (48, 16, (3, 32, 48), 144)
    assert len(images.train_dataloader()) == 72
    inputs, targets = next(iter(images.train_dataloader()))
    assert (inputs.shape, inputs.dtype) == ((2, 3, 32, 48), torch.float32)
    assert (targets.shape, targets.dtype) == ((2, 32, 48), torch.int64)
    assert 0 <= inputs.min() < inputs.max() <= 1
    inputs, targets = images.batches("test")[0]
    assert (inputs.shape, targets.shape) == ((4, 3, 64, 96), (4, 64, 96))


def test_description_is_json_and_names_no_path():
    described = data(root="somewhere/private", crop=(8, 8)).describe()
    assert "private" not in json.dumps(described)
    assert described["train_examples"] == 48
    assert described["scene_size"] == [16, 24]
    assert described["crop"] == [8, 8]
    assert described["note"] == "drawn by a program"


def everything(batches):
    return torch.cat([inputs for inputs, _ in batches]), torch.cat([targets for _, targets in batches])


def test_splits_are_nested_and_apart():
    images = data(validation_examples=8)
    assert (images.n_train, images.n_test) == (40, 16)
    parts = [everything(images.batches(split))[0] for split in ("train", "validation", "test")]
    assert len({scene.numpy().tobytes() for part in parts for scene in part}) == 64
    small = everything(data(train_examples=12, validation_examples=8).batches("train"))[0]
    assert torch.equal(small, parts[0][:12])
    sample = everything(data(sample_examples=5, validation_examples=8, seed=9).batches("sample"))[0]
    assert torch.equal(sample, parts[0][:5])
    assert not torch.equal(everything(data(subset_seed=1).batches("test"))[0], parts[2])
    assert torch.equal(everything(images.batches("test", examples=7, batch_size=3))[0], parts[2][:7])


def test_camvid_has_validation_scenes_of_its_own_and_cityscapes_has_not(tmp_path):
    written = synthetic_camvid(tmp_path)
    synthetic_cityscapes(tmp_path)
    camvid = SceneData("camvid", 2, root=str(tmp_path), validation_examples=2)
    assert (camvid.n_train, len(camvid.batches("validation")[0][1])) == (6, 2)
    stored = {image.transpose(2, 0, 1).tobytes() for image in written["val"][0]}
    images = (camvid.batches("validation")[0][0] * 255).round().byte()
    assert {image.numpy().tobytes() for image in images} < stored
    cityscapes = SceneData("cityscapes", 2, root=str(tmp_path), validation_examples=2)
    assert (cityscapes.n_train, cityscapes.n_test, cityscapes.classes) == (4, 3, 19)
    with pytest.raises(UsageError, match="validation_examples must be at most the 3 scenes of camvid, got 4"):
        SceneData("camvid", 2, root=str(tmp_path), validation_examples=4).setup()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"source": "kitti"}, "scene source must be one of drawn, camvid, cityscapes, got 'kitti'"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        ({"shrink": 0}, "shrink must be"),
        ({"shrink": 1.5}, "shrink must be an integer of at least 1, got 1.5"),
        ({"crop": (0, 8)}, "crop_height must be an integer of at least 1, got 0"),
        ({"crop": (8,)}, r"crop must be a height and a width, got \[8\]"),
        ({"crops_per_image": 2}, "without a crop would repeat whole scenes"),
        ({"crops_per_image": 0}, "crops_per_image must be"),
        ({"resident": "maybe"}, "resident must be one of auto, always, never, got 'maybe'"),
        ({"normalise": "zca"}, "normalise must be one of"),
        ({"last": "pad"}, "last must be one of"),
        ({"train_examples": 0}, "train_examples must be"),
        ({"validation_examples": -1}, "validation_examples must be"),
    ],
)
def test_wrong_options_are_refused_at_once(options, words):
    with pytest.raises(UsageError, match=words) as raised:
        SceneData(**options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 49}, "at most the 48 training examples of an epoch, got 49.$"),
        ({"batch_size": 97, "crop": (8, 8), "crops_per_image": 2}, "96 .* got 97. Raise crops_per_image"),
        ({"crop": (17, 8)}, "crop must be at most the 16 rows and 24 columns of the .shrunk. scenes, got 17 and 8"),
        ({"shrink": 65}, "shrink must leave a pixel of the 64x96 scenes, got 65"),
        ({"train_examples": 49}, "train_examples must be at most the 48 scenes of drawn, got 49"),
        ({"test_examples": 17}, "test_examples must be at most the 16"),
        ({"validation_examples": 48}, "must leave some of the 48 training scenes"),
    ],
)
def test_options_that_do_not_fit_the_data_are_refused_in_setup(options, words):
    with pytest.raises(UsageError, match=words) as raised:
        data(**options).setup("fit")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"split": "dev"}, "split must be one of"),
        ({"split": "validation"}, "Set validation_examples"),
        ({"split": "train", "examples": 49}, "at most the 48 of the train split, got 49"),
        ({"split": "train", "batch_size": 0}, "batch_size must be an integer of at least 1"),
    ],
)
def test_batches_that_cannot_be_had(call, words):
    with pytest.raises(UsageError, match=words):
        data().batches(**call)


def test_every_option_has_help_and_a_crop_comes_from_yaml():
    parser = ArgumentParser()
    parser.add_class_arguments(SceneData, "data")
    for action in parser._actions:
        if action.dest.startswith("data."):
            assert action.help, action.dest
    built = parser.instantiate_classes if not hasattr(parser, "instantiate") else parser.instantiate
    assert built(parser.parse_object({"data": {"crop": [16, 24]}})).data.crop == (16, 24)
