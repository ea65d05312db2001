import pytest

from reproduce import console


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Traceback (most recent call last):\n  ...\nValueError: the loss is\n\n", "ValueError: the loss is"),
        ("Traceback\nbsgap.errors.MissingData: MNIST is not at hand.", "MNIST is not at hand."),
        ("Traceback\nRuntimeError: x\n\nLast output of the worker:\n\nepoch 3\n", "RuntimeError: x"),
        (
            "The worker process was ended by SIGKILL.\n\nLast output of the worker:\nhello",
            "The worker process was ended by SIGKILL.",
        ),
        ("", "no message"),
    ],
)
def test_a_failure_in_one_line(text, line):
    assert console.last_line(text) == line


def test_counted():
    assert [console.counted(number, "run") for number in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
    assert console.counted(2, "figure or table", "figures and tables") == "2 figures and tables"
