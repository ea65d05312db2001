import os

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread():
    """One thread, as at demo scale: different thread counts give different bits."""
    torch.set_num_threads(1)


@pytest.fixture
def real_data():
    """Folder of the real data sets; the test is skipped, loudly, where there are none."""
    root = os.environ.get("BSGAP_DATA")
    if not root:
        pytest.skip("REAL DATA NOT TESTED: set BSGAP_DATA to a folder with the original data sets")
    return root
