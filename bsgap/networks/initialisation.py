"""Initial weights."""

from math import sqrt

from torch import nn


def glorot_uniform(module: nn.Module) -> None:
    """Glorot-uniform weights and zero biases for every linear and convolutional layer, in place.

    W ~ U(-a, a) with a = sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, eq. 16). It is what the Keras code of
    Keskar et al. draws when nothing else is said, and gives the "uniformly distributed random starting points" of
    their paper.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def he_normal(module: nn.Module, output: nn.Module) -> None:
    """He-normal weights and zero biases for every linear and convolutional layer, in place.

    W ~ N(0, 2 / n) (He et al. 2015, section 2.2). For a convolution n is the fan-out, kernel area x outputs, as in the
    published code of ResNet and DRN: it keeps the size of the gradients (eq. 14). With groups n counts the outputs
    that one input reaches: 9 for a 3x3 depthwise convolution. For a hidden linear layer n is the fan-in, which keeps
    the size of the activations (eq. 10). The `output` layer is drawn from N(0, 0.01^2) (Simonyan and Zisserman 2015,
    section 3.1; Goyal et al. 2017, section 5.1): all classes are about equally likely at first, and the loss starts
    near ln(classes).

    BatchNorm starts as PyTorch starts it: weight 1, bias 0.

    Args:
        module: The network.
        output: Its layer that gives the logits.
    """
    for layer in module.modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        if layer is output:
            deviation = 0.01
        elif isinstance(layer, nn.Linear):
            deviation = sqrt(2 / layer.in_features)
        else:
            fan_out = layer.weight[0, 0].numel() * layer.out_channels // layer.groups
            deviation = sqrt(2 / fan_out)
        nn.init.normal_(layer.weight, std=deviation)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
