"""Networks that recipes of the tests name by class path; some do something to their own process at a stated step."""

import os
import signal
import time
from pathlib import Path

import torch
from torch import nn


class Dropped(nn.Module):
    """BatchNorm, and dropout: its random numbers come from the process's own generator."""

    def __init__(self, width: int = 8):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(64, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.5), nn.Linear(width, 10)
        )

    def forward(self, inputs):
        return self.layers(inputs)


class Signalled(Dropped):
    """Sends its own process the signals named in SIGNALS, at the training forward whose number is in AT, with a pause
    between them."""

    forwards = 0

    def forward(self, inputs):
        if self.training:
            Signalled.forwards += 1
            if str(Signalled.forwards) == os.environ.get("AT"):
                for name in os.environ["SIGNALS"].split():
                    os.kill(os.getpid(), signal.Signals[name])
                    time.sleep(0.35)
        return super().forward(inputs)


class Waiting(Dropped):
    """Says by a file that it has reached the training forward numbered AT, and waits there until the file is gone."""

    forwards = 0

    def forward(self, inputs):
        if self.training:
            Waiting.forwards += 1
            if str(Waiting.forwards) == os.environ.get("AT"):
                file = Path(os.environ["WAIT"])
                file.touch()
                while file.exists():
                    time.sleep(0.01)
        return super().forward(inputs)


def same(one, two):
    """Whether two state dicts are equal to the bit."""
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
