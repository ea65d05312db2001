"""Initial weights."""

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
