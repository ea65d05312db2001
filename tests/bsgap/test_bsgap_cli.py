"""The command `bsgap`: recipes parse, stored configurations reproduce, and what is wrong is said on one line."""

import json
import os
import time
from pathlib import Path

import pytest
import torch
import yaml
from jsonargparse import Namespace
from probes import Dropped, same

from bsgap import cli
from bsgap.callbacks import Curves, KeepWeights, ResumePoint, StoppingRule
from bsgap.callbacks.wandb import WeightsAndBiases
from bsgap.errors import Interrupted, UsageError

CONFIGS = Path(__file__).parents[2] / "configs"
YAMLS = sorted(CONFIGS.rglob("*.yaml"))


def refused(runs, capsys, *options, **kind):
    """The one line with which the command refuses `options`."""
    capsys.readouterr()
    assert runs.main("refused", *options, **kind) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith("bsgap: error: ")
    assert errors.count("\n") == 1
    assert "NestedArg" not in errors
    assert "Traceback" not in errors
    assert not (runs.root / "refused" / "outcome.json").exists()
    return errors.removeprefix("bsgap: error: ").strip()


def files(path):
    """A recipe, or the recipe that an overlay lies over and the overlay."""
    whole = "class_path" in yaml.safe_load(path.read_text()).get("model", {})
    return [path] if whole else [path.with_name(path.name.split(".")[0] + ".yaml"), path]


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_every_recipe_parses(path):
    config = cli.resolve(*files(path))
    stated = yaml.safe_load(path.read_text()).get("trainer", {})
    assert {name: config["trainer"][name] for name in stated} == stated
    assert config["model"]["class_path"].startswith("bsgap.tasks.")
    assert {"seed_everything", "data", "curves", "stopping", "keep", "wandb", "resume", "threads"} <= set(config)


def test_there_are_recipes():
    assert len(YAMLS) > 5


def test_an_override_goes_over_the_files_and_defaults_fill_the_rest(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"model": {"class_path": "bsgap.tasks.ImageClassification", "init_args": {
        "network": {"class_path": "probes.Dropped"}}}, "data": {"class_path": "bsgap.data.ImageData"}}))  # fmt: skip
    config = cli.resolve(path, overrides={"data.init_args.batch_size": 7, "keep.levels": [1.0, 1e-3],
                                          "model.init_args.optimizer": "torch.optim.SGD", "trainer.max_epochs": 3,
                                          "wandb.tags": ["a b", "3"]})  # fmt: skip
    assert config["data"]["init_args"]["batch_size"] == 7
    assert config["data"]["init_args"]["sample_examples"] == 2000
    assert config["keep"]["levels"] == [1.0, 0.001]
    assert config["model"]["init_args"]["optimizer"]["class_path"] == "torch.optim.SGD"
    assert config["wandb"]["tags"] == ["a b", "3"]
    assert config["seed_everything"] == 0
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(config))
    assert cli.resolve(again) == config


def test_what_cannot_be_resolved(tmp_path):
    with pytest.raises(UsageError, match="does not exist") as caught:
        cli.resolve(tmp_path / "absent.yaml")
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=r"batch_size.*int"):
        cli.resolve(*files(YAMLS[0]), overrides={"data.init_args.batch_size": "many"})


def test_a_stored_configuration_gives_the_same_run(runs, final, tmp_path):
    first = runs.fit("first", "--data.init_args.batch_size=12")
    stored = first / "config.yaml"
    assert cli.main(["fit", f"--config={stored}", f"--trainer.default_root_dir={tmp_path / 'second'}"]) == 0
    assert (first / "metrics.csv").read_bytes() == (tmp_path / "second" / "metrics.csv").read_bytes()
    assert same(final(first), final(tmp_path / "second"))
    assert stored.read_text() == (tmp_path / "second" / "config.yaml").read_text()
    assert str(tmp_path) not in stored.read_text()  # it is no more than the recipe


def test_a_configuration_that_lies_in_the_folder_of_its_run_stays_as_it_is(runs):
    """As the run store has it, which keeps a digest of the file."""
    folder = runs.root / "run"
    folder.mkdir()
    path = Path(runs.arguments("run")[1].removeprefix("--config="))
    text = "# by hand\n" + path.read_text()
    (folder / "config.yaml").write_text(text)
    cli.BsgapCLI(["fit", f"--config={folder / 'config.yaml'}", f"--trainer.default_root_dir={folder}"])
    assert (folder / "config.yaml").read_text() == text
    assert (folder / "outcome.json").exists()


def test_what_a_finished_run_leaves_and_says(runs, capsys):
    assert runs.main("run") == 0
    folder = runs.root / "run"
    assert {path.name for path in folder.iterdir()} == {"config.yaml", "metrics.csv", "outcome.json", "weights"}
    outcome = json.loads((folder / "outcome.json").read_text())
    assert (outcome["status"], outcome["stop_reason"]) == ("finished", "budget")
    assert (outcome["steps"], outcome["epochs"], outcome["examples"]) == (6, 2, 80)
    assert outcome["data"]["batch_size"] == 16
    assert outcome["seconds"] > 0
    assert capsys.readouterr() == ("", "")  # without a progress bar it says nothing


def test_with_a_progress_bar_it_says_where_the_results_are(runs, capsys):
    assert runs.main("run", "--trainer.enable_progress_bar=true") == 0
    out, errors = capsys.readouterr()
    assert out.splitlines()[-1] == f"{runs.root / 'run' / 'outcome.json'}: finished"
    assert errors == ""


def test_the_folder_is_named_after_the_recipe_where_none_is_given(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = runs.arguments("unused")[1]
    for options in ([], ["--seed_everything=9"], ["--wandb.project=other", "--keep.ends=false"]):
        code = cli.main(["fit", recipe, *options])
        assert code == (2 if "--keep.ends=false" in options else 0)  # the last has the recipe of the first
    assert len(list((tmp_path / "bsgap-runs").iterdir())) == 2


def test_a_finished_run_is_not_trained_again(runs, capsys):
    runs.fit("refused")
    path = runs.root / "refused" / "outcome.json"
    before = path.read_bytes()
    assert runs.main("refused") == 2
    assert "holds a finished run" in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--bogus=1"], "bogus"),
        (["--trainer.max_epoch=1"], "max_epoch"),  # no abbreviations: an option added later would change their meaning
        (["--data.init_args.batch_size=many"], "Expected a <class 'int'>. Got value: many"),
        (["--data.init_args.batch_size=0"], "batch_size must be an integer of at least 1, got 0."),
        (["--data.init_args.batch_size=41"], "batch_size must be at most the 40 training examples, got 41."),
        (["--data.init_args.source=nonsense"], "nonsense"),
        (["--model.init_args.network.init_args.depth=3"], "'depth' is not accepted"),
        (["--model.class_path=no.such.Task"], "no.such.Task"),
        (["--model.init_args.micro_batch=0"], "micro_batch must be at least 1 or absent, got 0."),
        (["--model.init_args.gradient_clip=-1"], "gradient_clip must be positive or absent, got -1.0."),
        (["--model.init_args.initial_weights=absent.pt"], "no file absent.pt"),
        (["--ramp.every=1"], "never change anything: give ramp.factor"),
        (["--stopping.patience=-1"], "stopping: expected patience >= 0"),
        (["--curves.per_epoch=0"], "curves: expected per_epoch >= 1"),
        (["--resume.every_seconds=-1"], "every_seconds must not be negative"),
        (["--threads=0"], "--threads must be at least 1, got 0."),
        (["--wandb.mode=sometimes"], "sometimes"),
        (["--trainer.accelerator=nonsense"], "nonsense"),
        (["--trainer.gradient_clip_val=1"], "whole batch themselves. Set --model.init_args.gradient_clip 1 instead."),
        (["--trainer.accumulate_grad_batches=2"], "accumulate_grad_batches must be 1, got 2: a step takes the whole"),
        (["--config=absent.yaml"], "absent.yaml"),
        (["--ckpt_path=absent.ckpt"], "there is no file absent.ckpt"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_bad_options(runs, capsys, options, said):
    assert said in refused(runs, capsys, *options)


def test_a_command_that_is_missing_or_unknown(capsys):
    for arguments in ([], ["predict"], ["fit"], ["fit", "--data=bsgap.data.ImageData"]):
        assert cli.main(arguments) == 2
        out, errors = capsys.readouterr()
        assert (out, errors.count("\n"), errors.startswith("bsgap: error: ")) == ("", 1, True)


def test_help_explains_every_option_of_this_package(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["fit", "--help"])
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for callback in (Curves, StoppingRule, KeepWeights, ResumePoint, WeightsAndBiases):
        for line in callback.__doc__.split("Args:")[1].split("Raises:")[0].split("Attributes:")[0].splitlines():
            if line.startswith(" " * 8) and not line.startswith(" " * 9):
                assert " ".join(line.split(": ", 1)[1].split())[:30] in text, line


def test_a_folder_that_cannot_be_written_to(runs, capsys):
    (runs.root / "file").touch()
    said = refused(runs, capsys, f"--trainer.default_root_dir={runs.root / 'file' / 'run'}")
    assert said.startswith(f"cannot write to {runs.root / 'file' / 'run'} (Not a directory).")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="everything is writable to the superuser")
def test_a_folder_without_permission(runs, capsys):
    (runs.root / "refused").mkdir(mode=0o500)
    assert "Permission denied" in refused(runs, capsys)


def test_a_damaged_checkpoint(runs, capsys):
    folder = runs.root / "refused"
    folder.mkdir()
    (folder / "last.ckpt").write_bytes(b"half of a file")
    assert "last.ckpt is damaged" in refused(runs, capsys)


def test_a_failure_of_the_code_is_no_bad_usage(runs, monkeypatch):
    """It keeps its traceback."""
    monkeypatch.setattr("bsgap.tasks.ImageClassification.training_step", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        runs.main("run")


def test_kept_weights_can_be_tested(runs, capsys):
    folder = runs.fit("run")
    weights = folder / "weights" / "final.pt"
    assert runs.main("test", f"--model.init_args.initial_weights={weights}", command="test") == 0
    out = capsys.readouterr().out
    last = json.loads((folder / "outcome.json").read_text())["last"]
    numbers = [float(part) for part in out.replace("│", " ").split() if part.replace(".", "").isdigit()]
    for name in ("test_loss", "test_accuracy"):
        assert any(number == pytest.approx(last[name], rel=1e-5) for number in numbers)


def test_threads_are_set(runs, monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    runs.fit("run", "--threads=3", "--trainer.max_epochs=1")
    assert asked == [3]


def test_the_digest_is_of_what_decides_the_numbers(runs):
    parser_config = {
        "seed_everything": 0, "model": {"lr": 1.0}, "data": {"batch_size": 3}, "stopping": {"patience": 1},
        "trainer": {"max_epochs": 2, "accelerator": "cpu"}, "threads": 1, "keep": {"ends": True}, "ckpt_path": None,
    }  # fmt: skip

    def digest(**changes):
        return cli.digest(Namespace(**{**parser_config, **changes}))

    plain = digest()
    assert len(plain) == 12
    for same_numbers in (
        {"threads": 2}, {"keep": {"ends": False}}, {"ckpt_path": "x"}, {"wandb": {"mode": "online"}},
        {"trainer": {"max_epochs": 2, "accelerator": "gpu", "default_root_dir": "x"}},
    ):  # fmt: skip
        assert digest(**same_numbers) == plain
    placed = [{"init_args": {"batch_size": 3, "root": root, "download": root is not None}} for root in (None, "a", "b")]
    assert len({digest(data=data) for data in placed}) == 1
    for other_numbers in (
        {"seed_everything": 1}, {"model": {"lr": 2.0}}, {"data": {"batch_size": 4}}, {"stopping": {"patience": 2}},
        {"trainer": {"max_epochs": 3, "accelerator": "cpu"}},
    ):  # fmt: skip
        assert digest(**other_numbers) != plain


def test_building_a_task_from_a_resolved_configuration(runs):
    values = runs.values["model"]
    task = cli.build(values)
    assert isinstance(task.network, Dropped)
    assert task.micro_batch == 8


def test_errors_inside_a_worker_come_out_as_they_are(runs):
    with pytest.raises(UsageError, match="batch_size must be an integer of at least 1"):
        runs.fit("run", "--data.init_args.batch_size=0")
    assert not issubclass(Interrupted, Exception)  # no `except Exception` on the way takes it for a failure


def test_in_a_warm_process_a_run_starts_at_once(runs):
    """Processor time, which other processes do not lengthen; wall time of a free machine is about the same."""
    runs.fit("cold")
    start = time.process_time()
    runs.fit("warm")
    assert time.process_time() - start < 0.5
