"""Writers of small synthetic files in the original formats. Nothing in them is real data."""

import gzip
import hashlib
import http.server
import pickle
import struct
import threading
from functools import partial

import numpy as np
import pytest


def _idx(array):
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def write_idx():
    """write_idx(path, array): a synthetic IDX file, compressed if its name ends in .gz."""

    def write(path, array):
        path.parent.mkdir(parents=True, exist_ok=True)
        data = _idx(array)
        path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)

    return write


@pytest.fixture
def synthetic_idx(write_idx):
    """synthetic_idx(folder, ending=".gz"): four synthetic IDX files of 40 + 20 images; returns their arrays."""

    def make(folder, ending=".gz"):
        random = np.random.default_rng(0)
        arrays = {}
        for split, count in (("train", 40), ("t10k", 20)):
            arrays[f"{split}-images-idx3-ubyte"] = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
            arrays[f"{split}-labels-idx1-ubyte"] = (np.arange(count) % 10).astype(np.uint8)
        for name, array in arrays.items():
            write_idx(folder / f"{name}{ending}", array)
        return arrays

    return make


@pytest.fixture
def synthetic_cifar():
    """synthetic_cifar(root, name, binary=False, protocol=2): synthetic CIFAR files, 20 images each; returns arrays."""

    def make(root, name="cifar10", binary=False, protocol=2):
        random = np.random.default_rng(1)
        hundred = name == "cifar100"
        files = ["train", "test"] if hundred else [*(f"data_batch_{part}" for part in range(1, 6)), "test_batch"]
        version = ("binary" if hundred else "batches-bin") if binary else ("python" if hundred else "batches-py")
        folder = root / f"cifar-{'100' if hundred else '10'}-{version}"
        folder.mkdir(parents=True)
        arrays = {}
        for file in files:
            images = random.integers(0, 256, (20, 3072), dtype=np.uint8)
            labels = [int(label) for label in random.integers(0, 100 if hundred else 10, 20)]
            arrays[file] = images, labels
            if binary:
                columns = [np.zeros(20, dtype=np.uint8)] * hundred + [np.asarray(labels, dtype=np.uint8)]
                (folder / f"{file}.bin").write_bytes(np.column_stack([*columns, images]).tobytes())
            else:
                content = {b"data": images, (b"fine_labels" if hundred else b"labels"): labels}
                (folder / file).write_bytes(pickle.dumps(content, protocol=protocol))
        return arrays

    return make


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def serve(tmp_path):
    """A folder and the address under which a local server hands it out."""
    folder = tmp_path / "home"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def sha():
    """sha(path): the digest of a file as the tables of published digests write it."""
    return lambda path: "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
