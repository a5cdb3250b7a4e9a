"""Parameters from one framework to the other.

Modules of the same name keep their sub-modules under the same attribute names in both dialects, so that no table of
names is needed: :func:`port` walks the two trees side by side. Neither framework is imported before it is called.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

_KERAS_NAMES = {
    "weight": {"Conv2d": "kernel", "ConvTranspose2d": "kernel", "Linear": "kernel", "Embedding": "embeddings"},
    "bias": {"BatchNorm2d": "beta", "GroupNorm": "beta", "LayerNorm": "beta"},
    "running_mean": {"BatchNorm2d": "moving_mean"},
    "running_var": {"BatchNorm2d": "moving_variance"},
}
_KERAS_NAMES["weight"] |= dict.fromkeys(_KERAS_NAMES["bias"], "gamma")


def port(source, target) -> None:
    """Copy all parameters and BatchNorm statistics of a PyTorch module to a Keras layer of the same structure, or back.

    Sub-modules are matched by the names of the attributes that hold them; ``nn.ModuleList`` and ``nn.Sequential`` by
    position, to a list of layers or a ``keras.Sequential``. Kernels are transposed to the other framework's layout:
    convolutions (grouped and depthwise ones too), transposed convolutions, dense layers, normalisations; parameters
    that a module holds itself are copied as they are. Values are exact copies.

    Parameters
    ----------
    source : torch.nn.Module or keras.Layer
        Where the values come from. A Keras layer or model must be built.
    target : keras.Layer or torch.nn.Module
        Where they are written, in place: of the other framework than ``source``.

    Returns
    -------
    None

    Raises
    ------
    TypeError
        Unless one argument is a PyTorch module and the other a Keras layer or model.
    ValueError
        If a parameter is missing or left over on either side, or has another shape or type there. Nothing is written.

    Examples
    --------
    >>> import keras, torch
    >>> there, here = torch.nn.Linear(3, 2), keras.layers.Dense(2)
    >>> here.build((None, 3))
    >>> port(there, here)
    >>> bool((here.kernel.numpy().T == there.weight.detach().numpy()).all())
    True
    """
    kinds = _framework(source), _framework(target)
    if set(kinds) != {"torch", "keras"}:
        raise TypeError(
            "port needs a torch.nn.Module and a Keras layer or model, "
            f"got {type(source).__name__} and {type(target).__name__}"
        )
    to_keras = kinds == ("torch", "keras")
    module, layer = (source, target) if to_keras else (target, source)
    pairs = list(_pairs(module, layer, ""))
    _check_all_paired(pairs, layer)
    writes = [(pair, _converted(pair, to_keras)) for pair in pairs]  # every check is made before the first write
    for pair, value in writes:
        if to_keras:
            pair.variable.assign(value)
        else:
            _write_torch(pair.tensor, value)


class _Pair(NamedTuple):
    name: str
    tensor: Any
    variable: Any
    kind: str


def _framework(tree) -> str | None:
    bases = {(base.__module__.partition(".")[0], base.__name__) for base in type(tree).__mro__}
    return "torch" if ("torch", "Module") in bases else "keras" if ("keras", "Layer") in bases else None


def _pairs(module, layer, path: str) -> Iterator[_Pair]:
    """Parameters of two trees side by side, each with its name in the PyTorch tree."""
    kind = next((base.__name__ for base in type(module).__mro__ if base.__name__ in _KERAS_NAMES["weight"]), "")
    statistics = [name for name in ("running_mean", "running_var") if getattr(module, name, None) is not None]
    own = [name for name, value in module.named_parameters(recurse=False) if value is not None]
    for name in own + (statistics if kind == "BatchNorm2d" else []):
        variable = _child(layer, _KERAS_NAMES.get(name, {}).get(kind, name))
        if variable is None:
            built = getattr(layer, "built", True)
            why = "has no such parameter" if built else "is not built; call it once"
            raise ValueError(f"{path + name}: the Keras layer {_title(layer)} {why}")
        depthwise = "Depthwise" if kind == "Conv2d" and type(layer).__name__ == "DepthwiseConv2D" else ""
        yield _Pair(path + name, getattr(module, name), variable, depthwise + kind if name == "weight" else "")
    for name, child in module.named_children():
        first = next(_ported_names(child), None)
        if first is None:  # an activation, say, or constants
            continue
        partner = _child(layer, name)
        if partner is None:
            raise ValueError(f"{path}{name}.{first}: the Keras layer {_title(layer)} has nothing called {name!r}")
        yield from _pairs(child, partner, f"{path}{name}.")


def _ported_names(module) -> Iterator[str]:
    yield from (name for name, _ in module.named_parameters())
    yield from (
        name for name, _ in module.named_buffers() if name.rpartition(".")[2] in ("running_mean", "running_var")
    )


def _child(layer, name: str):
    """What a Keras layer, or a list or dictionary of layers, holds under the name that PyTorch gives it."""
    if type(layer).__name__ == "Sequential":
        layer = layer.layers
    if isinstance(layer, (list, tuple)):
        return layer[int(name)] if name.isdecimal() and int(name) < len(layer) else None
    return layer.get(name) if isinstance(layer, dict) else getattr(layer, name, None)


def _check_all_paired(pairs: list[_Pair], layer) -> None:
    paired = {id(pair.variable) for pair in pairs}
    left = [variable.path for variable in layer.weights if id(variable) not in paired]
    if left:
        raise ValueError(f"{', '.join(left)}: left over in the Keras layer, the PyTorch module has no such parameter")


def _converted(pair: _Pair, to_keras: bool) -> np.ndarray:
    """The source's values in the target's layout, or an error that names the parameter."""
    tensor, variable = _from_torch(pair.tensor), np.asarray(pair.variable)
    there = _to_keras_layout(tensor, pair.kind, variable.shape)
    if there.shape != variable.shape or tensor.dtype != variable.dtype:
        raise ValueError(
            f"{pair.name}: {tensor.dtype} of shape {tensor.shape} in PyTorch, which is {there.shape} in Keras, "
            f"but there it is {variable.dtype} of shape {variable.shape}"
        )
    return there if to_keras else _to_torch_layout(variable, pair.kind, tensor.shape)


def _to_keras_layout(array: np.ndarray, kind: str, shape: tuple) -> np.ndarray:
    if kind == "DepthwiseConv2d" and array.size == np.prod(shape):  # (C·m, 1, h, w) → (h, w, C, m)
        return array.reshape(*shape[2:], *array.shape[2:]).transpose(2, 3, 0, 1)
    if kind.endswith(("Conv2d", "ConvTranspose2d")):
        return array.transpose(2, 3, 1, 0)
    return array.T if kind == "Linear" else array


def _to_torch_layout(array: np.ndarray, kind: str, shape: tuple) -> np.ndarray:
    if kind == "DepthwiseConv2d":
        return array.transpose(2, 3, 0, 1).reshape(shape)
    if kind.endswith(("Conv2d", "ConvTranspose2d")):
        return array.transpose(3, 2, 0, 1)
    return array.T if kind == "Linear" else array


def _from_torch(tensor) -> np.ndarray:
    import torch

    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:  # NumPy has no such type of its own
        return tensor.contiguous().view(torch.int16).numpy().view("bfloat16")
    return tensor.numpy()


def _write_torch(tensor, value: np.ndarray) -> None:
    import torch

    value = np.array(value)  # contiguous, and not the Keras variable's own memory
    with torch.no_grad():
        if tensor.dtype == torch.bfloat16:
            tensor.copy_(torch.from_numpy(value.view(np.int16)).view(torch.bfloat16))
        else:
            tensor.copy_(torch.from_numpy(value))


def _title(layer) -> str:
    return repr(getattr(layer, "name", None) or type(layer).__name__)
