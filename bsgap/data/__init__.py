"""Data on the device: original files, exact loaders, and the LightningDataModule over them."""

from bsgap.data.loader import Batches, FixedLoader, TensorLoader
from bsgap.data.module import ImageData
from bsgap.data.scenes import SceneData
from bsgap.data.text import TextData

__all__ = ["Batches", "FixedLoader", "ImageData", "SceneData", "TensorLoader", "TextData"]
