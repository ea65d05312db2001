"""What the commands show."""

import logging
import warnings

import pytest

from bsgap import terminal
from bsgap.errors import MissingData, UsageError

NESTED = """Parser key "data":
  Does not validate against any of the Union subtypes
  Subtypes: [<class 'LightningDataModule'>, <class 'NoneType'>]
  Errors:
    - Problem with given class_path 'bsgap.data.ImageData':
        Parser key "batch_size":
          Expected a <class 'int'>. Got value: abc
    - Expected a <class 'NoneType'>
  Given value type: <class 'jsonargparse._util.NestedArg'>
  Given value: NestedArg(key='batch_size', val='abc')"""


def test_a_nested_error_is_one_line_without_what_says_nothing():
    assert terminal.one_line(ValueError(NESTED)) == (
        "Parser key \"data\": Problem with given class_path 'bsgap.data.ImageData':"
        " Parser key \"batch_size\": Expected a <class 'int'>. Got value: abc"
    )
    assert terminal.one_line(ValueError("plain:  text")) == "plain:  text"
    assert terminal.one_line(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_a_usage_error_is_found_in_what_was_raised_from_it():
    inner = MissingData("no file")
    raised, on_the_way = ValueError("outer"), TypeError("outer")
    raised.__cause__, on_the_way.__context__ = inner, inner
    assert terminal.usage_error(raised) is inner
    assert terminal.usage_error(on_the_way) is inner
    raised.__cause__ = KeyError("x")
    assert terminal.usage_error(raised) is None
    error = UsageError("itself")
    assert terminal.usage_error(error) is error


def test_noise_is_hidden_and_news_is_not(caplog):
    for _ in range(2):
        terminal.quiet()
    logger = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    assert len([item for item in logger.filters if item is terminal._is_news]) == 1
    with caplog.at_level(logging.INFO, logger=logger.name):
        for message in terminal.MESSAGES:
            logger.info(message + " and so on")
        logger.info("`Trainer.fit` stopped: `max_steps=5` reached.")
    assert caplog.messages == ["`Trainer.fit` stopped: `max_steps=5` reached."]


def test_warnings_are_hidden_by_message(recwarn):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        terminal.quiet()
        warnings.warn("`isinstance(treespec, LeafSpec)` is deprecated, use something else", FutureWarning, stacklevel=1)
        with pytest.raises(FutureWarning, match="another"):
            warnings.warn("another", FutureWarning, stacklevel=1)
