"""Seeds and random states."""

import hashlib
import random

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from bsgap.errors import UsageError
from bsgap.seeding import derive, generator, global_seed, preserved_random_state, random_state, set_random_state


def test_a_derived_seed_is_a_hash_of_its_names():
    """Written out, so that another version or machine gives the same: stored runs depend on it."""
    expected = int.from_bytes(hashlib.blake2b(b"0/weights", digest_size=8).digest(), "big") >> 1
    assert derive(0, "weights") == expected
    assert derive(3, "order", 7) == int.from_bytes(hashlib.blake2b(b"3/order/7", digest_size=8).digest(), "big") >> 1


def test_derived_seeds_differ_and_fit_a_generator():
    seeds = {derive(seed, name, k) for seed in range(20) for name in ("weights", "order", "augment") for k in range(20)}
    assert len(seeds) == 1200
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert torch.equal(torch.rand(3, generator=generator(1, "a")), torch.rand(3, generator=generator(1, "a")))
    assert not torch.equal(torch.rand(3, generator=generator(1, "a")), torch.rand(3, generator=generator(1, "b")))
    assert not torch.equal(torch.rand(3, generator=generator(1, "a")), torch.rand(3, generator=generator(2, "a")))


def test_the_global_seed_is_lightnings(monkeypatch):
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    assert global_seed() == 0
    pl.seed_everything(17)
    assert global_seed() == 17
    monkeypatch.setenv("PL_GLOBAL_SEED", "many")
    with pytest.raises(UsageError, match="PL_GLOBAL_SEED must be an integer, got 'many'"):
        global_seed()


def draw():
    """Numbers of all three generators, Gaussians included: Python's and NumPy's keep the second of a pair."""
    numpy = [np.random.random(), np.random.standard_normal()]
    return [random.random(), random.gauss(0, 1), *numpy, *torch.randn(5).tolist()]


def test_a_restored_state_draws_the_same_numbers():
    draw()
    state = random_state()
    first = draw(), draw()
    set_random_state(state)
    assert (draw(), draw()) == first


def test_a_state_survives_a_file_without_unpickling_code(tmp_path):
    random.gauss(0, 1)  # leaves a Gaussian in store
    np.random.standard_normal()
    state = random_state()
    first = draw()
    torch.save(state, tmp_path / "state.pt")
    set_random_state(torch.load(tmp_path / "state.pt", weights_only=True))
    assert draw() == first


def test_the_state_is_preserved_also_when_something_fails():
    expected = random_state()
    first = draw()
    set_random_state(expected)
    with preserved_random_state():
        draw()
        pl.seed_everything(5)
    with pytest.raises(ZeroDivisionError), preserved_random_state():
        assert [draw(), 1 / 0]
    assert draw() == first
