"""The sets of labelled photographs of any size by name: where they lie, and what tells them apart."""

from bsgap.data.photo_sources.imagenet import ImageNetSource
from bsgap.data.photo_sources.photoset import Photos, PhotoSet
from bsgap.data.registry import Registry

__all__ = ["NAMES", "PhotoSet", "Photos", "fingerprint", "get", "load"]

_REGISTRY: Registry[PhotoSet] = Registry("photograph", (ImageNetSource(),))
NAMES = _REGISTRY.names
get = _REGISTRY.get
load = _REGISTRY.load
fingerprint = _REGISTRY.fingerprint
