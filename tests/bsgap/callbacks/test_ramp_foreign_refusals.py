"""What the ramp refuses on somebody's module and data, and the manual optimisation that it does follow."""

import pytest
import pytorch_lightning as pl
from ramped import (
    BASE,
    N,
    Somebody,
    Stated,
    TwoClosures,
    dataloader,
    sizes,
    tensors,
    train,
)
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    CosineAnnealingLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, TensorDataset

from bsgap.callbacks import BatchSizeRamp
from bsgap.errors import UsageError

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no"),
    pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero"),
]
RAMPED = [[8] * 12, [16] * 6, [32] * 3, [64, 32]]


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (
            lambda optimizer: SequentialLR(
                optimizer, [LinearLR(optimizer, 0.1, total_iters=6), CosineAnnealingLR(optimizer, 24)], [6]
            ),
            "CosineAnnealingLR is made for 30 steps, as trainer.max_steps counts updates",
        ),
        (
            lambda optimizer: ChainedScheduler([StepLR(optimizer, 5), PolynomialLR(optimizer, 30)], optimizer),
            "PolynomialLR is made for 30 steps, as trainer.max_steps counts updates",
        ),
        (lambda optimizer: LambdaLR(optimizer, lambda step: max(0, 1 - step / 30)), "LambdaLR is an opaque function"),
        (
            lambda optimizer: SequentialLR(
                optimizer, [StepLR(optimizer, 5), MultiplicativeLR(optimizer, lambda step: 0.9)], [6]
            ),
            "MultiplicativeLR is an opaque function of the step count",
        ),
    ],
    ids=["SequentialLR", "ChainedScheduler", "LambdaLR", "within a SequentialLR"],
)
def test_schedules_that_hide_what_they_are_made_for(schedule, message):
    """Composed ones are looked through. A function cannot be, but it keeps its place where the budget is in epochs."""
    options = {"max_epochs": -1, "max_steps": 30}
    make = lambda: Somebody(lambda optimizer, trainer: schedule(optimizer))  # noqa: E731
    with pytest.raises(UsageError, match=f"{message}.* Set ramp.schedules to steps, or give trainer.max_epochs"):
        train(make(), Stated(), BatchSizeRamp(factor=2, every=1, maximum=32), **options)
    train(make(), Stated(), BatchSizeRamp(factor=2, every=1, maximum=32, schedules="steps"), **options)
    trainer = train(make(), Stated(), BatchSizeRamp(factor=2, every=1, maximum=32), max_epochs=2)
    assert trainer.global_step == 18


class Silent(pl.LightningDataModule):
    """States no batch size."""

    def train_dataloader(self):
        return dataloader()


class Deaf(Stated):
    """States one, and heeds it not."""

    def train_dataloader(self):
        return dataloader(BASE)


class Endless(IterableDataset):
    def __iter__(self):
        return iter([])


class Manual(Somebody):
    """Takes its steps itself."""

    def __init__(self, schedule=None):
        super().__init__(schedule)
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(super().training_step(batch, batch_idx))
        optimizer.step()


STEP = lambda optimizer, trainer: StepLR(optimizer, 5, 0.7)  # noqa: E731


class Odd(BatchSampler):
    pass


def odd():
    return DataLoader(TensorDataset(*tensors()), batch_sampler=Odd(range(N), BASE, False))


class Sampled(Stated):
    """Makes its batches itself."""

    def train_dataloader(self):
        return odd()


@pytest.mark.parametrize(
    ("module", "data", "ramp", "message"),
    [
        (Somebody, Silent, {}, "the data module Silent states none. Give it an attribute batch_size that its train_data"),
        (Somebody, Deaf, {}, "Deaf.batch_size was set to 16, but its train_dataloader() still gives batches of 8"),
        (Somebody, lambda: DataLoader(Endless(), batch_size=8), {}, "an IterableDataset has none"),
        (
            Somebody, odd, {}, "the ramp changes the batch size of torch's BatchSampler, and this DataLoader has a Odd."
            " Give batch_size to the DataLoader instead of a batch_sampler.",
        ),
        (
            Somebody, Sampled, {}, "torch's BatchSampler, and the DataLoader of Sampled has a Odd. Let train_dataloader()"
            " give batch_size=self.batch_size to the DataLoader instead of a batch_sampler.",
        ),
        (Somebody, lambda: [dataloader(), dataloader()], {}, "the ramp changes the batch size of one DataLoader, and got"),
        (Somebody, dataloader, {"every": 0.5}, "ramp.every: these data can change their batch size only between two ep"),
        (
            Somebody, dataloader, {"every": None, "milestones": [1, 1.5]},
            "ramp.milestones: these data can change their batch size only between two epochs, and a milestone is 1.5",
        ),
        (Somebody, dataloader, {"micro_batch": 12}, "ramp.micro_batch must divide the batches that are larger, got 12"),
        (Manual, dataloader, {"micro_batch": 8}, "Manual takes its steps itself (manual optimisation), so nobody else"),
        (lambda: Manual(STEP), dataloader, {}, "Manual moves its learning-rate schedules itself"),
        (lambda: Somebody(STEP, frequency=2), dataloader, {}, "a learning-rate schedule advances every 2 steps"),
        (
            Somebody, dataloader, {"every": None, "monitor": "accuracy", "maximum": 32},
            "ramp.monitor: no metric accuracy has been logged at the end of an epoch, but loss. Log it",
        ),
        (
            Somebody, dataloader, {"every": None, "monitor": "loss", "maximum": 97},
            "ramp.maximum must be at most the 96 training examples, got 97",
        ),
        (lambda: Somebody(norm=True), lambda: dataloader(n=97), {}, "the ramp leaves a last batch of 1 in an epoch of"),
        (
            lambda: Somebody(optimizer=TwoClosures), dataloader, {"micro_batch": 8},
            "ramp.micro_batch: the optimizer evaluates its closure more than once a step (as SAM does)",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured(module, data, ramp, message):
    with pytest.raises(UsageError) as error:
        train(module(), data(), BatchSizeRamp(**{"factor": 2, "every": 1} | ramp))
    assert message in str(error.value)


def test_a_schedule_that_watches_a_metric_with_every_step():
    class Watching(Somebody):
        def configure_optimizers(self):
            optimizer = self.optimizer(self.parameters())
            scheduler = {"scheduler": ReduceLROnPlateau(optimizer), "interval": "step", "monitor": "loss"}
            return {"optimizer": optimizer, "lr_scheduler": scheduler}

    with pytest.raises(UsageError, match="a learning-rate schedule watches a metric, so it cannot keep its place"):
        train(Watching(), dataloader(), BatchSizeRamp(factor=2, every=1))


def test_manual_optimisation_without_schedules_or_with_steps():
    for ramp in (BatchSizeRamp(factor=2, every=1), BatchSizeRamp(factor=2, every=1, schedules="steps")):
        module = Manual(None if ramp.schedules == "examples" else STEP)
        train(module, dataloader(), ramp)
        assert sizes(module) == RAMPED
