"""Original files, exact loaders over what is on the device or streamed, and the LightningDataModules over them."""

from bsgap.data.imagenet import ImageNetData
from bsgap.data.loader import Batches, FixedLoader, TensorLoader
from bsgap.data.module import ImageData
from bsgap.data.scenes import SceneData
from bsgap.data.text import TextData

__all__ = ["Batches", "FixedLoader", "ImageData", "ImageNetData", "SceneData", "TensorLoader", "TextData"]
