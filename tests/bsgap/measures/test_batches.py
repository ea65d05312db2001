import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from bsgap.measures.batches import read, sample


def numbered(sizes):
    rows = torch.arange(sum(sizes))
    return list(zip(rows.float()[:, None].split(sizes), rows.split(sizes), strict=True))


@pytest.mark.parametrize("sizes", [[10], [7, 3], [1] * 10, [4, 1, 5]])
@pytest.mark.parametrize("examples", [1, 3, 5, 10, 99])
def test_sample_is_evenly_spaced_whatever_the_batches(sizes, examples):
    inputs, targets = sample(numbered(sizes), examples)
    stride = max(1, 10 // examples)
    assert targets.tolist() == list(range(0, 10, stride))
    assert inputs[:, 0].tolist() == targets.tolist()


def test_sample_needs_tensors_of_one_shape():
    assert sample([({"x": torch.zeros(2)}, torch.zeros(2))], 1) is None
    assert sample([(torch.zeros(2, 3), torch.zeros(2)), (torch.zeros(2, 4), torch.zeros(2))], 1) is None
    assert sample([(torch.zeros(3, 2), torch.zeros(2))], 1) is None  # time first, say


def test_read_stops_after_so_many_examples_and_cuts_the_last_batch():
    assert [len(targets) for _, targets in read(numbered([4, 4, 2]), 6)] == [4, 2]
    assert [len(targets) for _, targets in read(numbered([4, 4, 2]), 8)] == [4, 4]
    assert [len(targets) for _, targets in read(numbered([4, 4, 2]))] == [4, 4, 2]


@pytest.mark.parametrize("examples", [None, 5])
def test_read_restores_the_generators_of_a_loader(examples):
    generator = torch.Generator().manual_seed(1)
    data = TensorDataset(torch.arange(8.0), torch.arange(8))
    sampler = torch.utils.data.RandomSampler(data, generator=generator)
    for loader in (
        DataLoader(data, sampler=sampler, batch_size=3),
        DataLoader(data, shuffle=True, generator=generator),
    ):
        before = generator.get_state()
        read(loader, examples)
        assert torch.equal(generator.get_state(), before)


def test_read_restores_the_position_of_a_loader():
    class Positioned:
        position = 2

        def state_dict(self):
            return {"position": self.position}

        def load_state_dict(self, state):
            self.position = state["position"]

        def __iter__(self):
            while self.position < 9:
                self.position += 3
                yield torch.zeros(3), torch.zeros(3)

    loader = Positioned()
    assert len(read(loader)) == 3
    assert loader.position == 2


def test_the_last_batch_is_cut_in_all_that_it_holds():
    inputs = {"ids": torch.arange(10), "pair": (torch.arange(20).view(10, 2), "words"), "bias": torch.ones(3)}
    (found, targets), *_ = read([(inputs, torch.arange(10))], 4)
    assert torch.equal(targets, torch.arange(4))
    assert torch.equal(found["ids"], torch.arange(4))
    assert found["pair"][0].shape == (4, 2)
    assert found["pair"][1] == "words"
    assert found["bias"].shape == (3,)
