"""Language modelling: steps against a hand-written loop, the carried state, perplexity, resume."""

import math

import pytest
import pytorch_lightning as pl
import torch
from probes import same
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import StepLR
from torchmetrics.functional.text import perplexity as torchmetrics_perplexity

from bsgap.callbacks import resume
from bsgap.data import TextData
from bsgap.errors import Interrupted, UsageError
from bsgap.networks import LSTMLanguageModel
from bsgap.tasks import LanguageModelling
from bsgap.tasks.perplexity import LanguageEvaluation, read

WORDS = 60


def model(dropout=0.0):
    return LSTMLanguageModel(WORDS, embedding=12, hidden=14, layers=2, dropout=dropout)


def data(**options):
    defaults = {
        "source": "pydoc", "vocabulary_size": WORDS, "train_tokens": 600, "test_tokens": 400, "batch_size": 6,
        "sequence_length": 20, "sample_tokens": 200, "evaluation_batch_size": 4, "seed": 1,
    }  # fmt: skip
    return TextData(**{**defaults, **options})


def trainer(tmp_path, **options):
    return pl.Trainer(
        default_root_dir=tmp_path, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_model_summary=False, enable_progress_bar=False, **{"max_epochs": 2, **options},
    )  # fmt: skip


def sgd(parameters):
    return torch.optim.SGD(parameters, 2.0, momentum=0.5)


class Unigram(nn.Module):
    """Knows how frequent words are, and counts the steps of text that it has read in its state."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, tokens, state=None):
        steps = torch.zeros(1, len(tokens), 1) if state is None else state[0]
        return self.logits.expand(*tokens.shape, -1), (steps + tokens.shape[1],)


@pytest.mark.parametrize("clip", [None, 0.25])
def test_training_is_truncated_back_propagation_by_hand(tmp_path, clip):
    """As in word_language_model: `repackage_hidden` between steps, `init_hidden` at an epoch's start."""
    task = LanguageModelling(model, sgd, schedule=lambda o: StepLR(o, 3, 0.5), gradient_clip=clip, seed=0)
    network = model()
    network.load_state_dict(task.network.state_dict())
    fit = trainer(tmp_path)
    fit.fit(task, data())
    texts = data()
    texts.setup()
    pairs = texts.batches("train", batch_size=1)
    tokens = torch.cat([*(inputs[0] for inputs, _ in pairs), pairs[-1][1][0, -1:]])
    columns = tokens.view(6, 100)
    optimizer = sgd(network.parameters())
    schedule = StepLR(optimizer, 3, 0.5)
    for _ in range(2):
        state = tuple(torch.zeros(2, 6, 14) for _ in range(2))
        for start in range(0, 99, 20):
            stop = min(start + 20, 99)
            state = tuple(part.detach() for part in state)
            optimizer.zero_grad()
            logits, state = network(columns[:, start:stop], state)
            cross_entropy(logits.reshape(-1, WORDS), columns[:, start + 1 : stop + 1].reshape(-1)).backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), clip)
            optimizer.step()
            schedule.step()
    assert fit.global_step == 10
    assert same(task.network.state_dict(), network.state_dict())


@pytest.mark.parametrize("size", [1, 4, 6, 50])
def test_micro_batches_of_columns_train_the_same_network(tmp_path, size):
    states, ends = [], []

    class End(pl.Callback):
        def on_train_batch_end(self, trainer, task, *_):
            ends.append(task._state)

    for micro_batch in (None, size):
        task = LanguageModelling(lambda: model().double(), sgd, micro_batch=micro_batch, gradient_clip=0.25, seed=0)
        trainer(tmp_path, callbacks=[End()]).fit(task, data())
        states.append(task.network.state_dict())
    for name in states[0]:
        torch.testing.assert_close(states[0][name], states[1][name], rtol=1e-9, atol=1e-12)
    assert len(ends) == 2 * 10
    for one, two in zip(ends[:10], ends[10:], strict=True):
        assert [part.shape for part in one] == [(2, 6, 14)] * 2
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-12)


def test_the_carried_state_is_that_of_the_first_evaluation(tmp_path):
    """An optimizer that evaluates twice, as SAM does, must not read the same tokens twice."""
    starts = []

    class Recorded(Unigram):
        def forward(self, tokens, state=None):
            starts.append(0 if state is None else int(state[0][0, 0, 0]))
            return super().forward(tokens, state)

    class Twice(torch.optim.SGD):
        def step(self, closure):
            closure()
            return super().step(closure)

    task = LanguageModelling(lambda: Recorded(torch.zeros(WORDS)), lambda p: Twice(p, 0.1), seed=0)
    trainer(tmp_path).fit(task, data())
    assert starts == [start for _ in range(2) for start in (0, 20, 40, 60, 80) for _ in range(2)]


def test_evaluation_of_one_column_is_one_pass_over_the_text():
    task = LanguageModelling(model, seed=3)
    texts = data(evaluation_batch_size=1, sequence_length=17)
    batches = texts.batches("test")
    inputs, targets = (torch.cat(parts, 1) for parts in zip(*batches, strict=True))
    with torch.no_grad():
        logits = task.network.double()(inputs)[0]
    found = task.evaluate(batches)
    assert found.loss == pytest.approx(cross_entropy(logits[0], targets[0]).item(), rel=1e-12)
    assert found.accuracy == (logits.argmax(-1) == targets).double().mean().item()
    assert found.perplexity == pytest.approx(torchmetrics_perplexity(logits, targets).item(), rel=1e-5)
    assert (found.tokens, found.examples) == (399, 24)


@pytest.mark.parametrize("length", [1, 7, 50, 1000])
def test_evaluation_does_not_depend_on_where_the_text_is_cut(length):
    task = LanguageModelling(lambda: model().double(), seed=3)
    expected = task.evaluate(data(sequence_length=20).batches("test"))
    found = task.evaluate(data(sequence_length=length).batches("test"))
    assert found.loss == pytest.approx(expected.loss, rel=1e-12)
    assert (found.accuracy, found.tokens) == (expected.accuracy, expected.tokens)


def test_word_frequencies_have_their_entropy_as_loss():
    batches = data(evaluation_batch_size=1).batches("test")
    targets = torch.cat([labels.flatten() for _, labels in batches])
    shares = torch.bincount(targets, minlength=WORDS).double() / len(targets)
    task = LanguageModelling(lambda: Unigram(shares.log().clamp(min=-1e3)), seed=0)
    found = task.evaluate(batches)
    entropy = -(shares * shares.log()).nansum().item()
    assert found.values() == pytest.approx(
        {"loss": entropy, "accuracy": shares.max().item(), "perplexity": math.exp(entropy)}, rel=1e-9
    )
    uniform = LanguageModelling(lambda: Unigram(torch.zeros(WORDS, dtype=torch.float64)), seed=0).evaluate(batches)
    assert uniform.perplexity == pytest.approx(WORDS, rel=1e-12)


def test_a_diverged_model_has_infinite_perplexity():
    assert LanguageEvaluation(1e4, 0.0, 1, 1).perplexity == math.inf
    assert math.isnan(LanguageEvaluation(math.nan, 0.0, 1, 1).perplexity)


def test_an_evaluation_leaves_the_task_as_it_was(tmp_path):
    task = LanguageModelling(lambda: model(dropout=0.5), sgd, seed=0)
    trainer(tmp_path, max_steps=3).fit(task, data())
    task.train()
    before = {name: value.clone() for name, value in task.state_dict().items()}
    state, random = task._state, torch.get_rng_state()
    batches = data().batches("test")
    assert task.evaluate(batches) == task.evaluate(batches)  # without dropout
    assert same(task.state_dict(), before)
    assert task._state is state
    assert torch.equal(torch.get_rng_state(), random)
    assert all(module.training for module in task.network.modules())
    assert task.network.lstm.dropout == 0.5
    with pytest.raises(UsageError, match="batches is empty"):
        read(task.network, [])


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_validation_and_test_are_what_evaluate_finds(tmp_path, precision):
    task = LanguageModelling(lambda: model(dropout=0.3), sgd, gradient_clip=0.25, seed=0)
    texts = data(validation_tokens=333)
    run = trainer(tmp_path, precision=precision)
    run.fit(task, texts)
    assert {parameter.dtype for parameter in task.parameters()} == {torch.float32}
    logged = run.callback_metrics["validation_loss"].item()
    for stage, found in (
        ("validation", run.validate(task, texts, verbose=False)[0]),
        ("test", run.test(task, texts, verbose=False)[0]),
    ):
        texts.setup()
        for name, value in task.evaluate(texts.batches(stage)).values().items():
            assert found[f"{stage}_{name}"] == pytest.approx(value, rel=1e-6)
    assert logged == pytest.approx(task.evaluate(texts.batches("validation")).loss, rel=1e-6)


def test_it_learns(tmp_path):
    task = LanguageModelling(model, lambda p: torch.optim.SGD(p, 5.0), gradient_clip=0.25, seed=0)
    texts = data(train_tokens=3000)
    start = task.evaluate(texts.batches("sample"))
    assert start.loss == pytest.approx(math.log(WORDS), abs=0.05)
    trainer(tmp_path, max_epochs=6).fit(task, texts)
    assert task.evaluate(texts.batches("sample")).perplexity < 0.6 * start.perplexity


def test_a_network_that_does_not_know_the_words(tmp_path):
    task = LanguageModelling(model, sgd, seed=0)
    with pytest.raises(
        UsageError, match=r"knows 60 words and the text has 61\. Set the network's vocabulary to 61, or"
    ):
        trainer(tmp_path).fit(task, data(vocabulary_size=61))


@pytest.mark.parametrize("options", [{"micro_batch": 0}, {"gradient_clip": 0.0}])
def test_options_out_of_range(options):
    (name,) = options
    with pytest.raises(UsageError, match=f"{name} must be"):
        LanguageModelling(model, **options)


# Two epochs of four steps in micro-batches, with momentum, a schedule and dropout.
RECIPE = {
    "model": {
        "class_path": "bsgap.tasks.LanguageModelling",
        "init_args": {
            "network": {
                "class_path": "bsgap.networks.LSTMLanguageModel",
                "init_args": {"vocabulary": WORDS, "embedding": 8, "hidden": 8, "dropout": 0.4},
            },
            "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 2.0, "momentum": 0.5}},
            "schedule": {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 3, "gamma": 0.7}},
            "micro_batch": 4,
            "gradient_clip": 0.25,
        },
    },
    "data": {
        "class_path": "bsgap.data.TextData",
        "init_args": {
            "source": "pydoc",
            "vocabulary_size": WORDS,
            "train_tokens": 600,
            "test_tokens": 200,
            "sample_tokens": 200,
            "batch_size": 6,
            "sequence_length": 25,
            "evaluation_batch_size": 4,
        },
    },
}


@pytest.fixture
def interrupt(monkeypatch):
    """Make the question whether to stop be answered with yes the n-th time; it is asked once a step."""

    def at(number):
        asked = []
        monkeypatch.setattr(resume, "should_stop", lambda: asked.append(None) or len(asked) == number)

    return at


def test_interrupted_at_any_step_and_continued_it_has_the_same_bits(runs, interrupt, final):
    runs.values |= RECIPE
    expected = runs.fit("whole")
    for step in range(1, 8):  # the fourth ends an epoch
        interrupt(step)
        with pytest.raises(Interrupted):
            runs.fit(f"at-{step}")
        state = torch.load(runs.root / f"at-{step}" / "last.ckpt", weights_only=True)["hidden_state"]
        assert (state is None) == (step == 4)
        interrupt(0)
        torch.manual_seed(step)
        folder = runs.fit(f"at-{step}")
        assert same(final(folder), final(expected)), step
        assert (folder / "metrics.csv").read_bytes() == (expected / "metrics.csv").read_bytes(), step
    assert "test_perplexity" in (expected / "metrics.csv").read_text()


def test_without_the_state_a_continued_run_is_another(runs, interrupt, final):
    runs.values |= RECIPE
    expected = runs.fit("whole")
    interrupt(2)
    with pytest.raises(Interrupted):
        runs.fit("cut")
    path = runs.root / "cut" / "last.ckpt"
    torch.save(torch.load(path, weights_only=True) | {"hidden_state": None}, path)
    interrupt(0)
    assert not same(final(runs.fit("cut")), final(expected))
