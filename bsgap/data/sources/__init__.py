"""The image (and frame) data sets by name: where they lie, how they are read, and what tells them apart."""

from bsgap.data.registry import Registry
from bsgap.data.sources.cifar import CIFAR10, CIFAR100
from bsgap.data.sources.digits import DigitsSource
from bsgap.data.sources.idx import FASHION, MNIST
from bsgap.data.sources.imageset import ImageSet, Source
from bsgap.data.sources.svhn import SVHN, SVHN_EXTRA
from bsgap.data.sources.timit import TimitSource

__all__ = ["NAMES", "ImageSet", "Source", "fingerprint", "get", "load"]

_REGISTRY: Registry[ImageSet] = Registry(
    "data", (DigitsSource(), MNIST, FASHION, CIFAR10, CIFAR100, SVHN, SVHN_EXTRA, TimitSource())
)
NAMES = _REGISTRY.names
get = _REGISTRY.get
load = _REGISTRY.load
fingerprint = _REGISTRY.fingerprint
