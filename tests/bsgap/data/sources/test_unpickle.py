import pickle

import numpy as np
import pytest

from bsgap.data.sources.unpickle import read_pickle
from bsgap.errors import CorruptData


class Call:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def write(path, value, protocol=2):
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_plain_values_and_arrays_are_read(tmp_path, protocol):
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    path = write(tmp_path / "file", {b"data": array, "names": ["a", b"b"], "n": 3}, protocol)
    values = read_pickle(path, "somewhere")
    assert np.array_equal(values["data"], array)
    assert values["data"].dtype == np.uint8
    assert (values["names"], values["n"]) == (["a", b"b"], 3)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_malicious_pickle_is_refused_and_does_nothing(tmp_path, protocol):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    attacks = {
        "os": Call(__import__("os").remove, str(victim)),
        "eval": Call(eval, f"__import__('os').remove({str(victim)!r})"),
        "getattr": Call(getattr, "", "join"),
        "numpy": Call(np.fromfile, str(victim)),
    }
    for name, attack in attacks.items():
        path = write(tmp_path / name, {b"data": attack, b"labels": []}, protocol)
        with pytest.raises(CorruptData, match="refused as unsafe: it asks for") as raised:
            read_pickle(path, "somewhere")
        assert str(path) in str(raised.value)
        assert "\n" not in str(raised.value)
    assert victim.read_text() == "precious"


def test_dotted_names_do_not_reach_through_an_allowed_one(tmp_path):
    # Protocol 4 resolves "dtype.mro" attribute by attribute in an ordinary unpickler.
    path = tmp_path / "file"
    path.write_bytes(b"\x80\x04\x8c\x05numpy\x8c\x09dtype.mro\x93)R.")
    with pytest.raises(CorruptData, match=r"asks for numpy\.dtype\.mro"):
        read_pickle(path, "somewhere")


def test_only_the_harmless_codec(tmp_path):
    path = write(tmp_path / "file", {"x": Call(__import__("_codecs").encode, "text", "rot13")})
    with pytest.raises(CorruptData, match="encodes text as rot13"):
        read_pickle(path, "somewhere")
