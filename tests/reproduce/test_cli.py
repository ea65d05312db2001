import os
import signal
import subprocess
import sys

import pytest

from reproduce import cli, commands, recipes

REAL_RECIPES = recipes.folder


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("foo", "invalid choice: 'foo' (choose from 'list', 'keskar'"),
        ("", 'expected "command" to be one of {list,keskar'),
        ("keskar --scale huge", "unknown scale 'huge': expected one of demo, laptop, gpu, paper."),
        ("keskar --figure fig1", "unknown figure 'fig1': expected one of table2, "),
        ("keskar --network D1", "unknown network 'D1': expected one of small, F1, F2, C1"),
        ("keskar --network C2", "--network C2 is not run at scale demo: "),
        ("keskar --seeds 0", "--seeds must be at least 1, got 0."),
        ("keskar --seeds -1", "--seeds must be at least 1, got -1."),
        ("keskar --seeds many", "--seeds: Expected a <class 'int'>. Got value: many"),
        ("keskar --jobs 0", "--jobs must be at least 1, got 0."),
        ("keskar --jobs -2", "--jobs must be at least 1, got -2."),
        (
            "keskar --out FILE/results",
            "--out FILE/results cannot be written to (Not a directory). Choose another folder.",
        ),
        ("keskar --out FILE", "--out FILE cannot be written to (File exists). Choose another folder."),
        ("keskar --wandb perhaps", "argument --wandb: invalid choice: 'perhaps'"),
        ("keskar --fig fig2 --unknown", "unrecognized arguments: "),
        ("keskar --figure", "argument --figure: expected at least one argument"),
        ("import nowhere", "no folder nowhere: give the results folder of another store."),
        ("publish keskar --scale huge", "unknown scale 'huge': "),
        ("publish foo", "argument paper: invalid choice: 'foo'"),
        ("status foo", "argument paper: invalid choice: 'foo'"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(arguments, said, command):
    (command.folder / "FILE").write_text("")
    code, out, err = command.main(*arguments.split())
    assert (code, out) == (2, "")
    assert err.startswith("reproduce: error: ")
    assert said in err
    assert err.count("\n") == 1
    assert not (command.folder / "results").exists()


def test_missing_data_are_named_with_where_to_get_them(command, monkeypatch):
    (command.folder / "empty").mkdir()
    monkeypatch.setenv("BSGAP_DATA", str(command.folder / "empty"))
    monkeypatch.setattr("reproduce.recipes.folder", REAL_RECIPES)
    code, out, err = command.main("keskar", "--scale", "laptop", "--out", str(command.out))
    assert (code, out) == (2, "")
    assert "MNIST is not at hand: no" in err
    assert "Get it from https://" in err
    assert "set BSGAP_DATA (or --data.root, --data-root)" in err
    assert err.count("\n") == 1


def test_damaged_data_are_named(command, monkeypatch):
    raw = command.folder / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{name}-ubyte").write_bytes(b"\0\0\x08\x03\0\0")
    monkeypatch.setattr("reproduce.recipes.folder", REAL_RECIPES)
    data = ["--data-root", str(command.folder / "data")]
    code, _, err = command.main("keskar", "--scale", "laptop", "--network", "F1", *data)
    assert code == 2
    assert "train-images-idx3-ubyte" in err
    assert err.count("\n") == 1


def test_a_dash_in_an_option_is_an_underscore_but_not_in_its_value():
    given = ["--data-root=some-folder/a-b", "--dry-run", "--out", "my-results", "fig-3"]
    assert [cli._dashes(each) for each in given] == [
        "--data_root=some-folder/a-b", "--dry_run", "--out", "my-results", "fig-3",
    ]  # fmt: skip


@pytest.mark.parametrize("arguments", [["--help"], ["keskar", "--help"], ["status", "--help"]])
def test_help(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(arguments)
    assert exit_.value.code == 0
    assert "usage: reproduce" in capsys.readouterr().out


def test_list_names_papers_figures_and_scales_without_waiting_for_torch():
    code = "import sys; from reproduce.cli import main; main(['list']); print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[0].startswith("reproduce keskar  ")
    assert any(line.startswith("  fig3 ") for line in said)
    assert any(line.startswith("  --scale laptop") for line in said)
    assert said[-1] == "False"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_outside_of_training_ends_the_command_with_130(number, command, monkeypatch):
    monkeypatch.setattr(commands, "make_plan", lambda *_, **__: os.kill(os.getpid(), number))
    before = signal.getsignal(signal.SIGTERM)
    code, out, err = command("--dry-run")
    assert (code, out) == (130, "")
    assert err == "reproduce: interrupted; the same command continues\n"
    assert signal.getsignal(signal.SIGTERM) is before
