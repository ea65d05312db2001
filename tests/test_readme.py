"""The README's code runs, its commands parse, its tables agree with the programs, and its links lead somewhere."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bsgap import cli as bsgap_cli
from bsgap.data import photo_sources, scene_sources, sources, text_sources
from bsgap.data.photo_sources import imagenet
from bsgap.data.scene_sources import camvid, cityscapes
from bsgap.data.sources import svhn
from reproduce import cli
from reproduce.papers import TITLES, study
from reproduce.study import SCALES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
SHELL = [line.partition("#")[0].strip() for language, code in BLOCKS if language == "sh" for line in code.splitlines()]
LINES = [line for line in SHELL if line] + re.findall(r"^\| `((?:reproduce|bsgap)[^`]*)` \|", README, re.MULTILINE)


def lines(program):
    found = [shlex.split(line)[1:] for line in LINES if line.split()[0] == program]
    assert found
    return [pytest.param(arguments, id=" ".join(arguments)) for arguments in found]


def test_every_block_has_a_language_that_is_tested():
    assert {language for language, _ in BLOCKS} == {"python", "sh"}
    assert {line.split()[0] for line in LINES} == {"make", "reproduce", "bsgap"}


@pytest.mark.parametrize("code", PYTHON)
def test_python_runs_as_pasted_into_a_file(code, tmp_path):
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "nan" not in done.stdout
    assert re.search(r"\d", done.stdout)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["example.py"]


@pytest.mark.parametrize("arguments", lines("make"))
def test_make_targets_exist(arguments):
    done = subprocess.run(["make", "-n", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", lines("reproduce"))
def test_reproduce_lines_are_accepted(arguments, tmp_path):
    options = cli.parser().parse_args([argument.replace("FOLDER", "folder") for argument in arguments])
    if options.command in TITLES and "--scale" not in arguments:  # the demo alone needs no data
        assert cli.main([*arguments, "--dry-run", "--out", str(tmp_path)]) == 0


@pytest.mark.parametrize("arguments", [case for case in lines("bsgap") if len(case.values[0]) > 1])
def test_bsgap_lines_are_accepted(arguments, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as stopped:
        bsgap_cli.main([*arguments, "--print_config"])
    assert stopped.value.code == 0
    assert "class_path: bsgap.tasks.ImageClassification" in capsys.readouterr().out


def test_the_table_of_commands_has_every_command():
    usage = cli.parser().format_usage()
    commands = re.search(r"\{(.+?)\}", usage)[1].split(",")
    for command in commands:
        assert f"| `reproduce {command}" in README
    assert set(TITLES) < set(commands)


def test_options_in_the_table_exist():
    usage = cli.parser().parse_args(["keskar"])["keskar"]
    options = re.findall(r"`--([\w-]+)", README.split("| option |")[1].split("Exit codes")[0])
    assert len(options) > 8
    for option in options:
        assert option.replace("-", "_") in usage


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("paper", TITLES)
def test_the_table_of_scales_has_the_studies_networks_and_seeds(scale, paper):
    head = re.search(r"^\| paper \|(.*)\|$", README, re.MULTILINE)[1].split("|")
    cells = re.search(rf"^\| `{paper}` \|(.*)\|$", README, re.MULTILINE)[1].split("|")
    cell = cells[[title.strip() for title in head].index(f"`{scale}`")]
    networks = study(paper).networks[scale]
    named = {name for other in SCALES for name in [*study(paper).networks[other], *study(paper).absent.get(other, {})]}
    for network, seeds in networks.items():
        after = re.search(rf"(?<![\w-]){re.escape(network)}(?![\w-])[^;()]*\((\d+) seeds?( each)?\)", cell)
        assert after is not None, network
        assert int(after[1]) == seeds, network
    for network in named - set(networks):
        assert not re.search(rf"(?<![\w-]){re.escape(network)}(?![\w-]) \(", cell), network


def test_every_data_source_and_folder_is_described():
    for registry in (sources, text_sources, scene_sources, photo_sources):
        for name in registry.NAMES:
            for folder in getattr(registry.get(name), "folders", ()):
                assert folder == "." or f"`{folder}/`" in README, f"{name}: {folder}"
    for folder in (*svhn.FOLDERS, *camvid.FOLDERS, *cityscapes.FOLDERS, *imagenet.FOLDERS):
        assert folder == "." or f"`{folder}/`" in README, folder


def test_links_lead_to_files_of_the_checkout():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).is_file(), target
    for name in ("CITATION.cff", "AUTHORS", "LICENSE", "constraints.txt"):
        assert f"`{name}`" in README
        assert (ROOT / name).is_file()
