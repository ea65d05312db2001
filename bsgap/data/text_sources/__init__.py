"""The texts by name: where they lie, how they are read, and what tells them apart."""

from bsgap.data.registry import Registry
from bsgap.data.text_sources.pydoc import PydocSource
from bsgap.data.text_sources.textset import TextSet
from bsgap.data.text_sources.wikitext import WIKITEXT2

__all__ = ["NAMES", "TextSet", "fingerprint", "get", "load"]

_REGISTRY: Registry[TextSet] = Registry("text", (PydocSource(), WIKITEXT2))
NAMES = _REGISTRY.names
get = _REGISTRY.get
load = _REGISTRY.load
fingerprint = _REGISTRY.fingerprint
