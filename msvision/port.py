"""Parameters from one framework to the other, and from torchvision's checkpoints to both.

Modules of the same name keep their sub-modules under the same attribute names in both dialects, so that no table of
names is needed: :func:`port` follows the names of PyTorch's parameters through the tree of Keras layers. Neither framework
is imported before it is called.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

_NORMALISATION = {"weight": "gamma", "bias": "beta"}
_KERAS_NAMES = {
    "Conv2D": {"weight": "kernel"},
    "Conv2DTranspose": {"weight": "kernel"},
    "DepthwiseConv2D": {"weight": "kernel"},
    "Dense": {"weight": "kernel"},
    "Embedding": {"weight": "embeddings"},
    "BatchNormalization": _NORMALISATION | {"running_mean": "moving_mean", "running_var": "moving_variance"},
    "GroupNormalization": _NORMALISATION,
    "LayerNormalization": _NORMALISATION,
}
_TORCHVISION_NAMES = (  # of its feature pyramid network; before 0.13 there was no ".0"
    (re.compile(r"(^|\.)inner_blocks\.(\d+)\.(0\.)?"), r"\1laterals.\2."),
    (re.compile(r"(^|\.)layer_blocks\.(\d+)\.(0\.)?"), r"\1smooth.\2."),
    (re.compile(r"(^|\.)extra_blocks\."), r"\1"),
)


def port(source, target, skip: tuple[str, ...] = ()) -> None:
    """Copy parameters and BatchNorm statistics to a network of the same structure: in the other framework, or from a file.

    Parameters are matched by the names of the attributes that hold them; ``nn.ModuleList`` and ``nn.Sequential`` by
    position, to a list of layers or a ``keras.Sequential``. Kernels are transposed to the other framework's layout:
    convolutions (grouped and depthwise ones too), transposed convolutions, dense layers, normalisations; parameters
    that a module holds itself are copied as they are. Values are exact copies.

    Parameters
    ----------
    source : torch.nn.Module, keras.Layer or dict
        Where the values come from. A Keras layer or model must be built. A dictionary is a PyTorch ``state_dict`` (of
        tensors or arrays), ours or torchvision's of a ResNet, ``FeaturePyramidNetwork``, ``ASPP`` or ``DeepLabV3``.
    target : keras.Layer or torch.nn.Module
        Where they are written, in place: of the other framework than ``source``, or of either for a dictionary.
    skip
        Beginnings of PyTorch's names that are left alone on both sides, such as ``("fc.",)`` for the classifier of a
        ResNet, or ``("aux_classifier.",)`` where one of two networks has such a head and the other has not.

    Returns
    -------
    None

    Raises
    ------
    TypeError
        Unless one argument is a PyTorch module, or a dictionary, and the other as above.
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
    >>> port({"weight": torch.zeros(2, 3), "bias": torch.ones(2)}, here)
    >>> here.bias.numpy().tolist()
    [1.0, 1.0]
    """
    kinds = _kind(source), _kind(target)
    if kinds not in (("torch", "keras"), ("keras", "torch"), ("state", "keras"), ("state", "torch")):
        raise TypeError(
            "port needs a torch.nn.Module and a Keras layer or model, or a dictionary of tensors and one of the two, "
            f"got {type(source).__name__} and {type(target).__name__}"
        )
    if isinstance(skip, str):
        raise TypeError(f"skip must be a tuple of beginnings of names, got {skip!r}; write ({skip!r},)")
    skip = tuple(skip)
    if kinds == ("state", "torch"):
        writes = _matched(_tensors(source, skip), _tensors(target, skip))
    else:
        module, layer = (target, source) if kinds[0] == "keras" else (source, target)
        pairs = [_pair(layer, name, tensor) for name, tensor in _tensors(module, skip).items()]
        _check_all_paired(pairs, layer, skip)
        writes = [_converted(pair, to_keras=kinds[1] == "keras") for pair in pairs]
    for write, value in writes:  # every check was made before the first of them
        write(value)


class _Pair(NamedTuple):
    name: str
    tensor: Any
    variable: Any
    kind: str  # class of the Keras layer whose kernel it is, or nothing


def _kind(tree) -> str | None:
    if isinstance(tree, Mapping):
        return "state"
    bases = {(base.__module__.partition(".")[0], base.__name__) for base in type(tree).__mro__}
    return "torch" if ("torch", "Module") in bases else "keras" if ("keras", "Layer") in bases else None


def _tensors(source, skip: tuple[str, ...]) -> dict[str, Any]:
    """PyTorch's parameters and statistics by their names, without those to be skipped."""
    if isinstance(source, Mapping):
        tensors = {_our_name(name): value for name, value in source.items() if not name.endswith("num_batches_tracked")}
        for name, value in tensors.items():
            if not isinstance(value, np.ndarray) and not hasattr(value, "detach"):
                raise TypeError(f"{name}: a state_dict holds tensors, got {type(value).__name__}")
    else:
        statistics = ("running_mean", "running_var")
        tensors = dict(source.named_parameters())
        tensors |= {name: value for name, value in source.named_buffers() if name.rpartition(".")[2] in statistics}
    return {name: value for name, value in tensors.items() if not name.startswith(skip)}


def _our_name(name: str) -> str:
    for pattern, replacement in _TORCHVISION_NAMES:
        name = pattern.sub(replacement, name)
    return name


# -- to and from Keras -----------------------------------------------------------------------------------------------


def _pair(layer, name: str, tensor) -> _Pair:
    """The Keras variable for a parameter, found by following its name through the tree."""
    *path, last = name.split(".")
    for part in path:
        child = _child(layer, part)
        if child is None:
            raise ValueError(f"{name}: the Keras layer {_title(layer)} has nothing called {part!r}")
        layer = child
    kind = next((base.__name__ for base in type(layer).__mro__ if base.__name__ in _KERAS_NAMES), "")
    there = _KERAS_NAMES.get(kind, {}).get(last, last)
    variable = _child(layer, there)
    if variable is None:
        why = "has no such parameter" if getattr(layer, "built", True) else "is not built; call it once"
        raise ValueError(f"{name}: the Keras layer {_title(layer)} {why}")
    return _Pair(name, tensor, variable, kind if there == "kernel" else "")


def _child(layer, name: str):
    """What a Keras layer, or a list or dictionary of layers, holds under the name that PyTorch gives it."""
    if type(layer).__name__ == "Sequential":
        layer = layer.layers
    if isinstance(layer, (list, tuple)):
        return layer[int(name)] if name.isdecimal() and int(name) < len(layer) else None
    return layer.get(name) if isinstance(layer, dict) else getattr(layer, name, None)


def _check_all_paired(pairs: list[_Pair], layer, skip: tuple[str, ...]) -> None:
    paired = {id(pair.variable) for pair in pairs} | _skipped(layer, skip)
    left = [variable.path for variable in layer.weights if id(variable) not in paired]
    if left:
        raise ValueError(f"{', '.join(left)}: left over in the Keras layer, PyTorch has no such parameter")


def _skipped(layer, skip: tuple[str, ...]) -> set[int]:
    """Variables of the Keras layers that beginnings of names lead to; one may lead nowhere."""
    found = set()
    for beginning in skip:
        child = layer
        for part in beginning.strip(".").split("."):
            child = None if child is None else _child(child, part)
        found |= {id(variable) for variable in _variables(child)}
    return found


def _variables(tree) -> Iterator[Any]:
    for item in tree if isinstance(tree, (list, tuple)) else [tree]:
        yield from getattr(item, "weights", [item])  # a layer's, or the variable itself


def _converted(pair: _Pair, to_keras: bool) -> tuple:
    """How to write, and the source's values in the target's layout, or an error that names the parameter."""
    tensor, variable = _from_torch(pair.tensor), np.asarray(pair.variable)
    there = _to_keras_layout(tensor, pair.kind, variable.shape)
    if there.shape != variable.shape or tensor.dtype != variable.dtype:
        raise ValueError(
            f"{pair.name}: {tensor.dtype} of shape {tensor.shape} in PyTorch, which is {there.shape} in Keras, "
            f"but there it is {variable.dtype} of shape {variable.shape}"
        )
    if to_keras:
        return pair.variable.assign, there
    return _writer(pair.tensor), _to_torch_layout(variable, pair.kind, tensor.shape)


def _to_keras_layout(array: np.ndarray, kind: str, shape: tuple) -> np.ndarray:
    if kind == "DepthwiseConv2D" and array.size == np.prod(shape):  # (C·m, 1, h, w) → (h, w, C, m)
        return array.reshape(*shape[2:], *array.shape[2:]).transpose(2, 3, 0, 1)
    if kind in ("Conv2D", "Conv2DTranspose") and array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    return array.T if kind == "Dense" else array


def _to_torch_layout(array: np.ndarray, kind: str, shape: tuple) -> np.ndarray:
    if kind == "DepthwiseConv2D":
        return array.transpose(2, 3, 0, 1).reshape(shape)
    if kind in ("Conv2D", "Conv2DTranspose"):
        return array.transpose(3, 2, 0, 1)
    return array.T if kind == "Dense" else array


def _title(layer) -> str:
    return repr(getattr(layer, "name", None) or type(layer).__name__)


# -- PyTorch ---------------------------------------------------------------------------------------------------------


def _matched(source: dict[str, Any], target: dict[str, Any]) -> list[tuple]:
    """How to write to each of PyTorch's tensors, and what."""
    missing, left = (sorted(a.keys() - b.keys()) for a, b in ((target, source), (source, target)))
    if missing:
        raise ValueError(f"{', '.join(missing)}: missing in the state_dict")
    if left:
        raise ValueError(f"{', '.join(left)}: left over in the state_dict, the module has no such parameter")
    writes = []
    for name, tensor in target.items():
        value, there = _from_torch(source[name]), _from_torch(tensor)
        if value.shape != there.shape or value.dtype != there.dtype:
            raise ValueError(
                f"{name}: {value.dtype} of shape {value.shape} in the state_dict, "
                f"{there.dtype} of shape {there.shape} in the module"
            )
        writes.append((_writer(tensor), value))
    return writes


def _from_torch(tensor) -> np.ndarray:
    if isinstance(tensor, np.ndarray):
        return tensor
    import torch

    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:  # NumPy has no such type of its own
        return tensor.contiguous().view(torch.int16).numpy().view("bfloat16")
    return tensor.numpy()


def _writer(tensor):
    import torch

    def write(value: np.ndarray) -> None:
        value = np.array(value)  # contiguous, and not the Keras variable's own memory
        with torch.no_grad():
            if tensor.dtype == torch.bfloat16:
                tensor.copy_(torch.from_numpy(value.view(np.int16)).view(torch.bfloat16))
            else:
                tensor.copy_(torch.from_numpy(value))

    return write
