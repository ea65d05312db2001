"""The task under Lightning: steps against a hand-written loop, starts, validation against `evaluate`."""

import pytest
import pytorch_lightning as pl
import torch
from probes import Dropped, same
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

from bsgap.data import ImageData
from bsgap.errors import UsageError
from bsgap.networks import FullyConnected, SmallConvNet
from bsgap.tasks import ImageClassification


def plain():
    """A network without BatchNorm and dropout."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))


def data(**options):
    return ImageData(**{"train_examples": 50, "batch_size": 16, "sample_examples": 30, "seed": 1, **options})


def trainer(tmp_path, **options):
    return pl.Trainer(
        default_root_dir=tmp_path, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_model_summary=False, enable_progress_bar=False, **{"max_epochs": 2, **options},
    )  # fmt: skip


def adam(parameters):
    return torch.optim.Adam(parameters, 0.01)


def sgd(parameters):
    return torch.optim.SGD(parameters, 0.5, momentum=0.9)


@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.parametrize("make", [adam, sgd])
def test_training_is_a_loop_by_hand(tmp_path, make, clip):
    task = ImageClassification(
        plain, make, schedule=lambda optimizer: StepLR(optimizer, 3, 0.1), gradient_clip=clip, seed=0
    )
    network = plain()
    network.load_state_dict(task.network.state_dict())
    fit = trainer(tmp_path)
    fit.fit(task, data())
    optimizer = make(network.parameters())
    schedule = StepLR(optimizer, 3, 0.1)
    batches = data()
    batches.setup("fit")
    for _ in range(2):
        for inputs, targets in batches.train_dataloader():
            optimizer.zero_grad()
            cross_entropy(network(inputs), targets).backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), clip)
            optimizer.step()
            schedule.step()
    assert fit.global_step == 8  # 50 examples in 16, 16, 16 and 2, twice
    assert same(task.network.state_dict(), network.state_dict())
    assert fit.optimizers[0].param_groups[0]["lr"] == schedule.get_last_lr()[0]


def test_micro_batches_train_the_same_network(tmp_path):
    states = []
    for size in (None, 5):
        task = ImageClassification(plain, sgd, micro_batch=size, seed=0)
        trainer(tmp_path).fit(task, data())
        states.append(task.network.state_dict())
    for name in states[0]:
        torch.testing.assert_close(states[0][name], states[1][name], rtol=1e-4, atol=1e-6)


def test_one_seed_is_one_start_whatever_else_is_drawn():
    pl.seed_everything(5)
    first = ImageClassification(lambda: SmallConvNet(), adam).network.state_dict()
    torch.randn(17)
    second = ImageClassification(lambda: SmallConvNet(), sgd, micro_batch=4).network.state_dict()
    assert same(first, second)
    pl.seed_everything(6)
    assert not same(first, ImageClassification(lambda: SmallConvNet()).network.state_dict())
    assert same(first, ImageClassification(lambda: SmallConvNet(), seed=5).network.state_dict())


def test_two_batch_sizes_of_one_seed_start_from_the_same_weights(runs):
    starts = []
    for size in (4, 40):
        folder = runs.fit(str(size), f"--data.init_args.batch_size={size}", "--trainer.max_epochs=1")
        starts.append(torch.load(folder / "weights" / "initial.pt", weights_only=True))
    assert same(*starts)


def test_building_a_task_draws_nothing_from_the_callers_generator():
    torch.manual_seed(1)
    expected = torch.randn(3)
    torch.manual_seed(1)
    ImageClassification(plain)
    assert torch.equal(torch.randn(3), expected)


def test_warm_start(tmp_path):
    torch.manual_seed(8)
    source = FullyConnected((1, 8, 8), hidden=1, width=4)
    torch.save(source.state_dict(), tmp_path / "w.pt")
    task = ImageClassification(
        lambda: FullyConnected((1, 8, 8), hidden=1, width=4), initial_weights=str(tmp_path / "w.pt")
    )
    assert same(task.network.state_dict(), source.state_dict())


def test_a_warm_start_that_cannot_be(tmp_path):
    with pytest.raises(UsageError, match=r"no file .*absent.pt"):
        ImageClassification(plain, initial_weights=str(tmp_path / "absent.pt"))
    torch.save(Dropped().state_dict(), tmp_path / "other.pt")
    with pytest.raises(UsageError, match=r"does not hold this network's weights \(Error.* Missing key") as caught:
        ImageClassification(plain, initial_weights=str(tmp_path / "other.pt"))
    assert "\n" not in str(caught.value)
    torch.save(nn.Linear(1, 1), tmp_path / "pickle.pt")  # a module: needs unpickling of code
    with pytest.raises(UsageError, match="does not hold this network's weights"):
        ImageClassification(plain, initial_weights=str(tmp_path / "pickle.pt"))
    (tmp_path / "damaged.pt").write_bytes((tmp_path / "other.pt").read_bytes()[:200])
    with pytest.raises(UsageError, match="does not hold this network's weights"):
        ImageClassification(plain, initial_weights=str(tmp_path / "damaged.pt"))


@pytest.mark.parametrize("options", [{"micro_batch": 0}, {"gradient_clip": 0.0}, {"statistics": "recomputed"}])
def test_options_out_of_range(options):
    (name,) = options
    with pytest.raises(UsageError, match=f"{name} must be"):
        ImageClassification(plain, **options)


def test_a_schedule_that_watches_a_metric_is_refused(tmp_path):
    with pytest.raises(UsageError, match="watches a metric"):
        trainer(tmp_path).fit(ImageClassification(plain, sgd, schedule=ReduceLROnPlateau), data())


def test_a_precision_that_scales_the_loss_is_refused():
    task = ImageClassification(plain)
    task._trainer = type("Half", (), {"precision": "16-mixed"})()
    with pytest.raises(UsageError, match="bf16-mixed"):
        task.setup("fit")
    task.setup("test")


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("statistics", ["batch", "running"])
def test_validation_and_test_are_what_evaluate_finds(tmp_path, statistics, precision):
    task = ImageClassification(lambda: SmallConvNet(width=4), adam, statistics=statistics, seed=0, channels_last=True)
    images = data(validation_examples=70, test_examples=101, evaluation_batch_size=32)  # uneven last batches
    run = trainer(tmp_path, precision=precision)
    run.fit(task, images)
    modes = [module.training for module in task.modules()]
    buffers = {name: value.clone() for name, value in task.network.named_buffers()}
    for stage, split, found in (
        ("validation", "validation", run.validate(task, images, verbose=False)[0]),
        ("test", "test", run.test(task, images, verbose=False)[0]),
    ):
        images.setup()
        expected = task.evaluate(images.batches(split))
        assert expected.examples == {"validation": 70, "test": 101}[split]
        assert found[f"{stage}_loss"] == pytest.approx(expected.loss, rel=1e-6)
        assert found[f"{stage}_accuracy"] == pytest.approx(expected.accuracy, rel=1e-6)
    assert [module.training for module in task.modules()] == modes
    assert same(dict(task.network.named_buffers()), buffers)
    assert all(parameter.grad is None or parameter.requires_grad for parameter in task.parameters())


def test_bf16_trains_in_bf16_and_measures_in_float32(tmp_path):
    types = {"training": set(), "evaluating": set()}

    class Probe(nn.Linear):
        def forward(self, inputs):
            outputs = super().forward(inputs)
            types["training" if self.training else "evaluating"].add(outputs.dtype)
            return outputs

    task = ImageClassification(lambda: nn.Sequential(nn.Flatten(), Probe(64, 10)), sgd, seed=0)
    run = trainer(tmp_path, precision="bf16-mixed", max_epochs=1)
    images = data(validation_examples=10)
    run.fit(task, images)
    run.test(task, images, verbose=False)
    assert types == {"training": {torch.bfloat16}, "evaluating": {torch.float32}}
    assert {parameter.dtype for parameter in task.parameters()} == {torch.float32}
