"""Data on the device: original files, exact loaders, and the LightningDataModule over them."""

from bsgap.data.loader import Batches, FixedLoader, TensorLoader
from bsgap.data.module import ImageData

__all__ = ["Batches", "FixedLoader", "ImageData", "TensorLoader"]
