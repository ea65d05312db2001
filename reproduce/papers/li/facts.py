"""The paper's own numbers, as others quote them page by page (tag N)."""

TEST_ERROR: dict[tuple[str, str], float] = {
    ("plain", "SB"): 7.37, ("plain", "LB"): 11.07, ("decayed", "SB"): 6.0, ("decayed", "LB"): 10.19,
}  # fmt: skip
"""(Weight decay, batch) -> test error (%) of VGG-9 trained by SGD: titles of Fig. 3."""


def gap(decay: str) -> float:
    """Reported test error of the large batch minus that of the small one, in points.

    >>> round(gap("plain"), 2), round(gap("decayed"), 2)
    (3.7, 4.19)
    """
    return TEST_ERROR[decay, "LB"] - TEST_ERROR[decay, "SB"]
