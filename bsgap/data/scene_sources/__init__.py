"""The sets of labelled scenes by name: where they lie, how they are read, and what tells them apart."""

from bsgap.data.registry import Registry
from bsgap.data.scene_sources.camvid import CamVidSource
from bsgap.data.scene_sources.cityscapes import CityscapesSource
from bsgap.data.scene_sources.drawn import DrawnSource
from bsgap.data.scene_sources.sceneset import IGNORE, Scenes, SceneSet

__all__ = ["IGNORE", "NAMES", "SceneSet", "Scenes", "fingerprint", "get", "load"]

_REGISTRY: Registry[SceneSet] = Registry("scene", (DrawnSource(), CamVidSource(), CityscapesSource()))
NAMES = _REGISTRY.names
get = _REGISTRY.get
load = _REGISTRY.load
fingerprint = _REGISTRY.fingerprint
