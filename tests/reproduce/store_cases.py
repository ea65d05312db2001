"""Configs and finished runs for the tests of the store."""

from reproduce.identity import run_id

FINGERPRINT = "digits-1"
CURVES = (
    "step,epoch,examples,metric,value\n0,0.0,0,train_loss,2.3025850929940455\n8,1.0,512,train_loss,0.1234567890123\n"
)
OUTCOME = {"status": "finished", "stop_reason": "budget", "steps": 8, "seconds": 1.5, "kept": {"final": {"step": 8}}}


def config(seed=0, batch=64, **model):
    return {
        "seed_everything": seed,
        "trainer": {"max_epochs": 5, "max_steps": -1, "precision": "32-true", "accelerator": "cpu", "logger": False},
        "model": {
            "class_path": "bsgap.tasks.ImageClassification",
            "init_args": {
                "network": {"class_path": "bsgap.networks.SmallConvNet", "init_args": {"classes": 10}},
                "optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.001, "betas": [0.9, 0.999]}},
                "micro_batch": None,
                **model,
            },
        },
        "data": {
            "class_path": "bsgap.data.ImageData",
            "init_args": {"source": "digits", "batch_size": batch, "root": "/data", "download": False},
        },
        "stopping": {"patience": 3, "min_fall": 0.01},
        "keep": {"ends": True},
        "threads": 1,
    }


def identifier(settings):
    return run_id(settings, FINGERPRINT)


def train(folder, weights=("final",), curves=CURVES):
    """What a training leaves, before the store seals it."""
    (folder / "weights").mkdir(exist_ok=True)
    for name in weights:
        (folder / "weights" / f"{name}.pt").write_bytes(name.encode() * 1000)
    (folder / "metrics.csv").write_text(curves)
    (folder / "last.ckpt").write_bytes(b"resume")


def finished(store, settings=None, status="finished", **left):
    """A run of `settings` that is done in `store`; its id."""
    settings = settings or config()
    key = identifier(settings)
    with store.claim(key):
        train(store.open(key, settings, FINGERPRINT), **left)
        store.finish(key, status, OUTCOME | {"status": status})
    return key
