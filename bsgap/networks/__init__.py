"""Networks as the papers define them: plain modules that take inputs and return logits.

Each takes `in_shape` (channels, height, width; or a single feature count) and `classes`, so that the data decide them.
"""

from bsgap.networks.deepnet import DeepNet
from bsgap.networks.fully_connected import FullyConnected
from bsgap.networks.shallownet import ShallowNet
from bsgap.networks.small import SmallConvNet

__all__ = ["DeepNet", "FullyConnected", "ShallowNet", "SmallConvNet"]
