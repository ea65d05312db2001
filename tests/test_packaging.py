"""The wheel has what the commands need, and the pinned versions are the whole of what an installation needs."""

import configparser
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import bsgap

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
# What CUDA builds of torch bring and pin themselves.
PINNED_ELSEWHERE = re.compile(r"nvidia-|cuda-|triton")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The project's wheel; hatchling builds it without writing into the checkout."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("THE WHEEL IS NOT TESTED: pip install hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder that has the wheel's contents, and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", "--no-index", "--target", folder, wheel)
    return folder


def pip(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_recipes_and_templates_travel_in_the_wheel(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    for folder, target, pattern in (
        ("configs", "reproduce/configs", "*/*.yaml"),
        ("paper/templates", "reproduce/templates", "**/*.*"),
        ("reproduce/papers/facts", "reproduce/papers/facts", "*.json"),
    ):
        expected = {f"{target}/{path.relative_to(ROOT / folder).as_posix()}" for path in (ROOT / folder).glob(pattern)}
        assert expected, folder
        assert expected <= inside


def test_the_wheel_has_both_packages_and_nothing_else(wheel):
    inside = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in inside} == {"bsgap", "reproduce", f"bsgap-{bsgap.__version__}.dist-info"}
    modules = [path for top in ("bsgap", "reproduce") for path in ROOT.glob(f"{top}/**/*.py")]
    assert {name for name in inside if name.endswith(".py")} == {path.relative_to(ROOT).as_posix() for path in modules}
    assert {Path(name).name for name in inside if "/licenses/" in name} == {"LICENSE", "AUTHORS"}


def test_entry_points_lead_to_functions(wheel):
    text = zipfile.ZipFile(wheel).read(f"bsgap-{bsgap.__version__}.dist-info/entry_points.txt").decode()
    parsed = configparser.ConfigParser()
    parsed.read_string(text)
    scripts = dict(parsed["console_scripts"])
    assert set(scripts) == {"bsgap", "reproduce"}
    for target in scripts.values():
        module, _, function = target.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_the_installed_command_plans_a_study_in_an_empty_folder(installed, tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "BSGAP_DATA"}
    # -P: nothing of the current folder; the wheel's contents come before an editable installation
    done = subprocess.run(
        [sys.executable, "-P", installed / "bin" / "reproduce", "keskar", "--dry-run"],
        cwd=tmp_path, env=environment | {"PYTHONPATH": str(installed)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "0 done, " in done.stdout
    assert "published" not in done.stdout  # published results belong to a checkout


def test_the_installed_package_reads_its_own_recipes_and_templates(installed, tmp_path):
    code = """
import bsgap, reproduce.recipes, reproduce.report
for place in (bsgap.__file__, reproduce.recipes.folder(), reproduce.report.templates_folder()):
    print(place)
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(installed)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    places = [Path(line) for line in done.stdout.split("\n") if line]
    assert len(places) == 3
    assert all(place.is_relative_to(installed) for place in places)


def test_constraints_are_versions_and_nothing_else():
    for line in PINS:
        assert re.fullmatch(r"[\w.-]+==[\w.]+", line), f"{line!r}: no addresses, no folders, no local versions"
    assert len({canonicalize_name(line.split("==")[0]) for line in PINS}) == len(PINS)


def test_constraints_pin_everything_that_an_installation_needs():
    pins = {canonicalize_name(name): Version(version) for name, version in (line.split("==") for line in PINS)}
    found, absent = needs([*PROJECT["dependencies"], "bsgap[dev]"])
    names = {canonicalize_name(requirement.name) for requirement in found}
    assert names <= set(pins), f"not pinned: {sorted(names - set(pins))}"
    for requirement in found:
        pinned = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pinned, prereleases=True), f"{requirement} is pinned to {pinned}"
    if not absent:
        assert set(pins) <= names, f"pinned without need: {sorted(set(pins) - names)}"


def needs(lines):
    """Every requirement of `lines` and of what these bring, on this Python; and those that are not installed."""
    found, absent, todo = set(), set(), [(line, frozenset()) for line in lines]
    while todo:
        line, extras = todo.pop()
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        wanted = requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in extras | {""})
        if not wanted or requirement in found or PINNED_ELSEWHERE.match(name):
            continue
        if name == "bsgap":
            brought = [line for extra in requirement.extras for line in PROJECT["optional-dependencies"][extra]]
        else:
            found.add(requirement)
            try:
                brought = importlib.metadata.requires(name) or []
            except importlib.metadata.PackageNotFoundError:
                absent.add(name)
                continue
        todo += [(line, frozenset(requirement.extras)) for line in brought]
    return found, absent


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert PROJECT["version"] == bsgap.__version__ == citation["version"]
    assert PROJECT["license"] == citation["license"] == "MIT"
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert [author["name"] for author in citation["authors"]] == (ROOT / "AUTHORS").read_text().splitlines()
