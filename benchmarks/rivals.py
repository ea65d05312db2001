"""The training loops that bsgap is compared with, written as anybody would: each `next` is one step."""

from collections.abc import Iterator

import numpy as np
import torch
from machine import device
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset

from bsgap.data.augment import crop_flip

Steps = Iterator[None]


class TransformedImages(Dataset):
    """Images one by one: zero-padded random crop, random flip, normalisation, in numpy."""

    mean = np.array([0.4914, 0.4822, 0.4465], np.float32)
    std = np.array([0.2470, 0.2435, 0.2616], np.float32)

    def __init__(self, images: Tensor, labels: Tensor):
        self.images, self.labels = images.permute(0, 2, 3, 1).contiguous().numpy(), labels.tolist()
        self.draws = np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = np.pad(self.images[index], ((4, 4), (4, 4), (0, 0)))
        top, left = self.draws.integers(0, 9, 2)
        image = image[top : top + 32, left : left + 32]
        if self.draws.random() < 0.5:
            image = image[:, ::-1]
        image = (image.astype(np.float32) / 255 - self.mean) / self.std
        return torch.from_numpy(image.transpose(2, 0, 1).copy()), self.labels[index]


def plain(network: nn.Module, images: Tensor, labels: Tensor, batch: int) -> Steps:
    """Float32, a DataLoader with transforms of each image, SGD: a tutorial's loop."""
    place = device()
    network.to(place).train()
    loader = DataLoader(TransformedImages(images, labels), batch_size=batch, shuffle=True, drop_last=True)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    while True:
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = cross_entropy(network(inputs.to(place)), targets.to(place))
            loss.backward()
            optimizer.step()
            yield


def bare_images(network: nn.Module, images: Tensor, labels: Tensor, batch: int, compiled: bool) -> Steps:
    """The images on the device, batched crop and flip, bfloat16, channels last, a fused optimizer; no framework."""
    place = device()
    network.to(place, memory_format=torch.channels_last).train()
    forward = torch.compile(network, dynamic=False) if compiled else network
    images, labels = images.to(place), labels.to(place)
    mean, std = (torch.from_numpy(v).view(3, 1, 1).to(place) for v in (TransformedImages.mean, TransformedImages.std))
    draws = torch.Generator().manual_seed(0)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, fused=True)
    while True:
        for rows in torch.randperm(len(images), generator=draws).to(place).split(batch):
            if len(rows) < batch:
                continue
            inputs = (crop_flip(images[rows], draws).float() / 255 - mean) / std
            optimizer.zero_grad()
            with torch.autocast(place.type, torch.bfloat16):
                loss = cross_entropy(forward(inputs.contiguous(memory_format=torch.channels_last)), labels[rows])
            loss.backward()
            optimizer.step()
            yield


def bare_text(network: nn.Module, tokens: Tensor, columns: int, length: int) -> Steps:
    """PyTorch's `word_language_model`: columns of text, a carried state, clipping, SGD."""
    place = device()
    network.to(place).train()
    text = tokens[: len(tokens) // columns * columns].view(columns, -1).to(place)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    while True:
        state = None
        for start in range(0, text.shape[1] - 1, length):
            stop = min(start + length, text.shape[1] - 1)
            optimizer.zero_grad()
            logits, state = network(text[:, start:stop], state)
            state = tuple(part.detach() for part in state)
            loss = cross_entropy(logits.flatten(0, 1), text[:, start + 1 : stop + 1].flatten())
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 0.25)
            optimizer.step()
            yield


def bare_scenes(network: nn.Module, images: Tensor, masks: Tensor, batch: int, crop: tuple[int, int]) -> Steps:
    """Scenes on the device, a random crop and flip of image and mask, bfloat16, channels last, a fused optimizer."""
    place = device()
    network.to(place, memory_format=torch.channels_last).train()
    images, masks = images.to(place), masks.to(place)
    draws = np.random.default_rng(0)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, fused=True)

    def cut(row: int) -> tuple[Tensor, Tensor]:
        top, left = (draws.integers(0, images.shape[2 + axis] - crop[axis] + 1) for axis in (0, 1))
        window = (..., slice(top, top + crop[0]), slice(left, left + crop[1]))
        image, mask = images[row][window], masks[row][window]
        return (image.flip(-1), mask.flip(-1)) if draws.random() < 0.5 else (image, mask)

    while True:
        order = draws.permutation(len(images))
        for start in range(0, len(order) - batch + 1, batch):
            pairs = [cut(row) for row in order[start : start + batch]]
            inputs, targets = (torch.stack(parts) for parts in zip(*pairs, strict=True))
            optimizer.zero_grad()
            with torch.autocast(place.type, torch.bfloat16):
                logits = network(inputs.contiguous(memory_format=torch.channels_last))
            loss = cross_entropy(logits.float(), targets, ignore_index=255)
            loss.backward()
            optimizer.step()
            yield
