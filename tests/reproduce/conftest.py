import os
import shutil

import inline
import pytest
import tiny

from bsgap.callbacks import resume
from reproduce import cli, commands, recipes, runner
from reproduce.papers.keskar import trials


@pytest.fixture(autouse=True)
def _environment():
    """As it was before: commands set BSGAP_DATA, Lightning leaves its seed, and workers ask to be told to stop."""
    before, question = dict(os.environ), resume.should_stop
    yield
    resume.should_stop = question
    os.environ.clear()
    os.environ.update(before)


class Command:
    """The command `reproduce` on the tiny study, in a folder of its own."""

    def __init__(self, folder, monkeypatch, capsys=None):
        self.folder, self.monkeypatch, self.capsys = folder, monkeypatch, capsys
        self.out = folder / "results"
        monkeypatch.chdir(folder)
        monkeypatch.setattr(commands, "published_folders", list)
        monkeypatch.setattr(recipes, "folder", recipes.folder)
        monkeypatch.setitem(trials.SETTINGS, "demo", dict(trials.SETTINGS["demo"]))
        self.recipe()

    def recipe(self, **changes):
        """Train with a changed recipe."""
        tiny.install(self.folder / "configs", **changes)

    def inline(self):
        """Do the jobs in this process."""
        self.monkeypatch.setattr(runner, "LocalEngine", inline.InlineEngine)
        self.monkeypatch.setattr(inline.InlineEngine, "log", [])
        self.monkeypatch.setattr(inline.InlineEngine, "before", None)
        return inline.InlineEngine

    def __call__(self, *arguments, wandb="disabled", seeds=1, network="small"):
        """Exit code of `reproduce keskar ...`, what it printed, and its errors."""
        places = ["--out", str(self.out), "--network", network, "--seeds", str(seeds), "--wandb", wandb]
        return self.main("keskar", *places, *arguments)

    def main(self, *arguments):
        """Exit code, output and errors of `reproduce ...`."""
        code = cli.main(list(arguments))
        captured = self.capsys.readouterr() if self.capsys else None
        return (code, captured.out, captured.err) if captured else (code, "", "")


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """`reproduce` on the tiny study."""
    yield Command(tmp_path, monkeypatch, capsys)
    recipes._resolved.cache_clear()


@pytest.fixture(scope="session")
def studied(tmp_path_factory):
    """Folder of the whole tiny study, two seeds, done once by a real worker, with W&B offline. Read only."""
    folder = tmp_path_factory.mktemp("studied")
    with pytest.MonkeyPatch.context() as monkeypatch:
        code, *_ = Command(folder, monkeypatch)("--jobs", "1", wandb="offline", seeds=2)
        assert code == 0
    recipes._resolved.cache_clear()
    return folder / "results"


@pytest.fixture
def copied(studied, command):
    """The command, in a folder with a copy of the studied results of its own."""
    shutil.copytree(studied, command.out, symlinks=True)
    return command
