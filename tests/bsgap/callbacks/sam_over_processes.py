"""Trains with SAM on two processes; each writes what it saw. A script, as pytest's own process has threads."""

import functools
import json
import multiprocessing
import os
import sys
from pathlib import Path

import torch
from ramped import BASE, OwnData, OwnTask, Somebody, train

from bsgap.optim import ASAM, SAM

RATE, RHO = 0.01, 0.3
BASE_OPTIMIZER = functools.partial(torch.optim.SGD, lr=RATE)


def task(micro_batch=None, sharpness_batch=None):
    """A task of this package."""
    made = OwnTask(micro_batch=micro_batch, optimizer=functools.partial(SAM, base=BASE_OPTIMIZER, rho=RHO))
    made.sharpness_batch = sharpness_batch
    return made


CASES = {
    "somebody": lambda: Somebody(optimizer=functools.partial(ASAM, base=BASE_OPTIMIZER, rho=RHO)),
    "own": lambda: task(micro_batch=3),
    "groups": lambda: task(sharpness_batch=4, micro_batch=1),
}


def run(name):
    """Train one case; what came and what became of it."""
    module = CASES[name]()
    train(module, OwnData(BASE), max_epochs=1, devices=2, strategy="ddp")
    return {"seen": module.seen, "weights": [parameter.flatten().tolist() for parameter in module.parameters()]}


def rank(number, folder):
    """One of the two processes, started as a cluster would: Lightning starts none itself where it finds its rank."""
    os.environ["LOCAL_RANK"] = str(number)
    Path(folder, f"{number}.json").write_text(json.dumps({name: run(name) for name in CASES}))


if __name__ == "__main__":
    fork = multiprocessing.get_context("fork")  # so that torch is imported once
    processes = [fork.Process(target=rank, args=(number, sys.argv[1])) for number in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    sys.exit(any(process.exitcode for process in processes))
