"""Networks as the papers define them: plain modules that take inputs and return logits.

Each takes `in_shape` (channels, height, width; or a single feature count) and `classes`, so that the data decide them;
the language model takes the size of its `vocabulary`.
"""

from bsgap.networks.alexnet import AlexNet
from bsgap.networks.deepnet import DeepNet
from bsgap.networks.drn import DRN
from bsgap.networks.fully_connected import FullyConnected
from bsgap.networks.ghost import GhostBatchNorm, GhostBatchNorm1d, GhostBatchNorm2d, ghost_batch_norm, plain_batch_norm
from bsgap.networks.lstm import LSTMLanguageModel
from bsgap.networks.mlp import MLP
from bsgap.networks.mobilenet import MobileNetV2
from bsgap.networks.resnet import CifarResNet, ResNet
from bsgap.networks.shallownet import ShallowNet
from bsgap.networks.small import SmallConvNet
from bsgap.networks.two_conv import TwoConvNet
from bsgap.networks.vgg import VGG
from bsgap.networks.vgg9 import VGG9
from bsgap.networks.wide_resnet import WideResNet

__all__ = [
    "DRN",
    "MLP",
    "VGG",
    "VGG9",
    "AlexNet",
    "CifarResNet",
    "DeepNet",
    "FullyConnected",
    "GhostBatchNorm",
    "GhostBatchNorm1d",
    "GhostBatchNorm2d",
    "LSTMLanguageModel",
    "MobileNetV2",
    "ResNet",
    "ShallowNet",
    "SmallConvNet",
    "TwoConvNet",
    "WideResNet",
    "ghost_batch_norm",
    "plain_batch_norm",
]
