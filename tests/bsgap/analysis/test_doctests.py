import doctest
import importlib
import pkgutil

import pytest

import bsgap.analysis

MODULES = [found.name for found in pkgutil.iter_modules(bsgap.analysis.__path__, "bsgap.analysis.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_the_docstrings_hold(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
