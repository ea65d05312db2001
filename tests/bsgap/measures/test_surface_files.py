import csv
import math

import pytest

from bsgap.errors import UsageError
from bsgap.measures import Surface, write_csv, write_vtk

PLANE = Surface(
    alphas=(-1.0, 0.1, 2.0), betas=(0.0, 0.5), losses={"train": [[1 / 3, 2.0], [3.0, math.nan], [math.inf, 6.0]]},
    accuracies={"train": [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]}, start_losses={"train": 1.0}, statistics="running",
    examples=10, passes=2,
)  # fmt: skip
LINE = Surface((0.0, 1.0), None, {"train": [1.0, 2.0]}, {"train": [None, None]}, {"train": 1.0}, "batch", 10, 2)


def read_vtk(path):
    """A reader of the legacy format, token by token: dimensions, points and scalars."""
    head, _, kind, rest = path.read_text().split("\n", 3)
    assert head == "# vtk DataFile Version 3.0"
    assert kind == "ASCII"
    tokens = iter(rest.split())
    assert [next(tokens) for _ in range(3)] == ["DATASET", "STRUCTURED_GRID", "DIMENSIONS"]
    dimensions = [int(next(tokens)) for _ in range(3)]
    assert next(tokens) == "POINTS"
    count = int(next(tokens))
    assert next(tokens) == "double"
    points = [tuple(float(next(tokens)) for _ in range(3)) for _ in range(count)]
    assert next(tokens) == "POINT_DATA"
    assert int(next(tokens)) == count == math.prod(dimensions)
    scalars = {}
    for word in tokens:
        assert word == "SCALARS"
        name = next(tokens)
        assert [next(tokens) for _ in range(4)] == ["double", "1", "LOOKUP_TABLE", "default"]
        scalars[name] = [float(next(tokens)) for _ in range(count)]
    return dimensions, points, scalars


def test_csv_gives_the_same_numbers_back(tmp_path):
    write_csv(PLANE, tmp_path / "new" / "grid.csv")
    with (tmp_path / "new" / "grid.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["alpha", "beta", "split", "loss", "accuracy"]
    for row, expected in zip(rows, PLANE.rows(), strict=True):
        numbers = [float(row[name]) for name in ("alpha", "beta", "loss", "accuracy")]
        assert numbers == pytest.approx(
            [expected[name] for name in ("alpha", "beta", "loss", "accuracy")], rel=0, nan_ok=True
        )
        assert row["split"] == "train"


def test_csv_of_a_line_without_accuracies(tmp_path):
    write_csv(LINE, tmp_path / "line.csv")
    assert (tmp_path / "line.csv").read_text() == "alpha,split,loss,accuracy\n0.0,train,1.0,\n1.0,train,2.0,\n"


def test_vtk_is_a_structured_grid_whose_height_is_the_loss(tmp_path):
    write_vtk(PLANE, tmp_path / "grid.vtk")
    dimensions, points, scalars = read_vtk(tmp_path / "grid.vtk")
    assert dimensions == [3, 2, 1]
    assert [point[:2] for point in points] == [(a, b) for b in PLANE.betas for a in PLANE.alphas]  # alpha runs first
    assert [z for *_, z in points] == [1 / 3, 3.0, 6.0, 2.0, 6.0, 6.0]
    assert scalars["loss"] == pytest.approx([1 / 3, 3.0, math.inf, 2.0, math.nan, 6.0], rel=0, nan_ok=True)
    assert scalars["accuracy"] == [0.1, 0.3, 0.5, 0.2, 0.4, 0.6]


def test_vtk_can_be_cut_off(tmp_path):
    write_vtk(PLANE, tmp_path / "grid.vtk", height=2.5)
    assert max(z for *_, z in read_vtk(tmp_path / "grid.vtk")[1]) == 2.5


def test_vtk_refuses_a_line_and_an_unknown_split(tmp_path):
    with pytest.raises(UsageError, match="over two directions"):
        write_vtk(LINE, tmp_path / "x.vtk")
    with pytest.raises(UsageError, match="split must be one of train, got 'test'"):
        write_vtk(PLANE, tmp_path / "x.vtk", split="test")
    assert not list(tmp_path.iterdir())
