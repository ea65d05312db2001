"""The data sets of all kinds behind one door."""

import pytest

from bsgap.data import photo_sources, scene_sources, sources, text_sources
from bsgap.errors import MissingData, UsageError
from reproduce import datasets, papers
from reproduce.study import SCALES

REGISTRIES = {"images": sources, "text": text_sources, "scenes": scene_sources, "photos": photo_sources}
NAMES = [(name, registry) for registry in REGISTRIES.values() for name in registry.NAMES]
EMBEDDED = ("digits", "pydoc", "drawn")


@pytest.mark.parametrize(("name", "registry"), NAMES, ids=[name for name, _ in NAMES])
def test_every_source_is_found_in_its_registry(name, registry, tmp_path):
    assert datasets.fingerprint(name, tmp_path) == registry.fingerprint(name, tmp_path)
    assert len(datasets.fingerprint(name, tmp_path)) == 64


def test_no_two_data_sets_share_a_name_or_a_fingerprint(tmp_path):
    names = [name for name, _ in NAMES]
    assert len(set(names)) == len({datasets.fingerprint(name, tmp_path) for name in names}) == len(names)


@pytest.mark.parametrize("name", EMBEDDED)
def test_what_is_embedded_is_at_hand(name, tmp_path):
    datasets.make_sure(name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [name for name, _ in NAMES if name not in EMBEDDED])
def test_what_is_missing_is_said_in_one_line_with_where_it_comes_from(name, tmp_path):
    with pytest.raises(MissingData) as error:
        datasets.make_sure(name, tmp_path)
    text = str(error.value)
    assert "\n" not in text
    assert str(tmp_path) in text
    assert "http" in text


def test_what_is_there_is_not_read(tmp_path, monkeypatch):
    for folder, name in (("leftImg8bit", "leftImg8bit"), ("gtFine", "gtFine_labelIds")):
        for split in ("train", "val"):
            place = tmp_path / "cityscapes" / folder / split / "bern"
            place.mkdir(parents=True)
            (place / f"bern_000000_000000_{name}.png").touch()
    monkeypatch.setattr(scene_sources, "load", None)
    datasets.make_sure("cityscapes", tmp_path)


@pytest.mark.parametrize("ask", [datasets.fingerprint, datasets.make_sure])
def test_an_unknown_name_is_refused_with_those_that_there_are(ask, tmp_path):
    with pytest.raises(UsageError) as error:
        ask("places", tmp_path)
    text = str(error.value)
    assert text.startswith("unknown data set 'places': expected one of digits, mnist, ")
    assert all(name in text for name, _ in NAMES)
    assert "\n" not in text


@pytest.mark.parametrize("paper", papers.TITLES)
def test_every_study_asks_for_data_sets_that_there_are(paper):
    study, known = papers.study(paper), {name for name, _ in NAMES}
    assert {study.data(network, scale) for scale in SCALES for network in study.networks[scale]} <= known
