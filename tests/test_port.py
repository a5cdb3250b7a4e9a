"""Parameters survive the way to the other framework and back, bit for bit, and nothing is copied by halves."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import torch
from peers import torchvision
from torch import nn

from msvision import tensorflow as msv_tensorflow
from msvision import torch as msv_torch
from msvision.port import port

DTYPES = ["float32", "float64", "float16", "bfloat16"]


def built(layer, *shape):
    layer.build((None, *shape))
    return layer


# A PyTorch module, the Keras layer for it, and the shape (C, H, W) of an input that shows they compute the same.
LEAVES = {
    "conv": (
        lambda: nn.Conv2d(4, 6, 3),
        lambda dtype: built(keras.layers.Conv2D(6, 3, dtype=dtype), 7, 8, 4),
        (4, 7, 8),
    ),
    "conv-without-bias": (
        lambda: nn.Conv2d(4, 6, (3, 2), bias=False),
        lambda dtype: built(keras.layers.Conv2D(6, (3, 2), use_bias=False, dtype=dtype), 7, 8, 4),
        (4, 7, 8),
    ),
    "conv-dilated": (
        lambda: nn.Conv2d(2, 3, 3, dilation=2),
        lambda dtype: built(keras.layers.Conv2D(3, 3, dilation_rate=2, dtype=dtype), 7, 8, 2),
        (2, 7, 8),
    ),
    "conv-grouped": (
        lambda: nn.Conv2d(4, 6, 3, groups=2),
        lambda dtype: built(keras.layers.Conv2D(6, 3, groups=2, dtype=dtype), 7, 8, 4),
        (4, 7, 8),
    ),
    "conv-depthwise": (
        lambda: nn.Conv2d(4, 8, 3, groups=4),
        lambda dtype: built(keras.layers.DepthwiseConv2D(3, depth_multiplier=2, dtype=dtype), 7, 8, 4),
        (4, 7, 8),
    ),
    "conv-transposed": (
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=2),
        lambda dtype: built(keras.layers.Conv2DTranspose(6, 3, strides=2, dtype=dtype), 7, 8, 4),
        (4, 7, 8),
    ),
    "linear": (lambda: nn.Linear(4, 6), lambda dtype: built(keras.layers.Dense(6, dtype=dtype), 4), (4,)),
    "batch-norm-without-weights": (
        lambda: nn.BatchNorm2d(4, affine=False),
        lambda dtype: built(
            keras.layers.BatchNormalization(epsilon=1e-5, center=False, scale=False, dtype=dtype), 7, 8, 4
        ),
        (4, 7, 8),
    ),
    "batch-norm": (
        lambda: nn.BatchNorm2d(4),
        lambda dtype: built(keras.layers.BatchNormalization(epsilon=1e-5, dtype=dtype), 7, 8, 4),
        (4, 7, 8),
    ),
}


def randomised(module, dtype="float32", seed=0):
    """Every parameter and statistic drawn anew, statistics positive, so that none is at its default."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
    return module.to(getattr(torch, dtype)).eval()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LEAVES)
def test_round_trip_is_exact(name, dtype):
    make_torch, make_keras, _ = LEAVES[name]
    source, middle, back = randomised(make_torch(), dtype), make_keras(dtype), randomised(make_torch(), dtype, seed=1)
    port(source, middle)
    port(middle, back)
    for key, value in source.state_dict().items():
        assert torch.equal(back.state_dict()[key], value), key


@pytest.mark.parametrize("name", LEAVES)
def test_ported_layers_compute_the_same(name):
    make_torch, make_keras, shape = LEAVES[name]
    source, target = randomised(make_torch()), make_keras("float32")
    port(source, target)
    x = torch.rand(2, *shape)
    ours = source(x).detach().movedim(1, -1).numpy()
    np.testing.assert_allclose(np.asarray(target(x.movedim(1, -1).numpy())), ours, rtol=1e-5, atol=1e-5)


class TorchTree(nn.Module):
    def __init__(self, blocks=2):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.blocks = nn.ModuleList(nn.Conv2d(4, 4, 1) for _ in range(blocks))
        self.fusion = nn.Parameter(torch.rand(blocks))
        self.register_buffer("constant", torch.ones(3))  # no parameter: stays where it is

    def forward(self, x):
        x = self.stem(x)
        return sum(w * block(x) for w, block in zip(self.fusion, self.blocks))


class KerasTree(keras.Model):
    def __init__(self, blocks=2, width=4, extra=False):
        super().__init__()
        norm = keras.layers.BatchNormalization(epsilon=1e-5)
        self.stem = keras.Sequential([keras.layers.Conv2D(4, 3, use_bias=False), norm, keras.layers.ReLU()])
        self.blocks = [keras.layers.Conv2D(width, 1) for _ in range(blocks)]
        self.fusion = self.add_weight(shape=(2,), name="fusion")
        if extra:
            self.extra = keras.layers.Dense(2)
            self.extra.build((None, 4))

    def call(self, x):
        x = self.stem(x)
        return sum(self.fusion[i] * block(x) for i, block in enumerate(self.blocks))


def keras_tree(**arguments):
    tree = KerasTree(**arguments)
    tree(np.zeros((1, 8, 8, 3), "float32"))
    return tree


def test_trees():
    source, target = randomised(TorchTree()), keras_tree()
    port(source, target)
    x = torch.rand(2, 3, 8, 9)
    ours = source(x).detach().movedim(1, -1).numpy()
    np.testing.assert_allclose(np.asarray(target(x.movedim(1, -1).numpy())), ours, rtol=1e-5, atol=1e-5)
    back = randomised(TorchTree(), seed=1)
    port(target, back)
    for key, value in source.state_dict().items():
        assert torch.equal(back.state_dict()[key], value) == (key != "constant"), key


@pytest.mark.parametrize("direction", ["to keras", "to torch"])
@pytest.mark.parametrize(
    "module, layer, message",
    [
        (TorchTree, lambda: keras_tree(blocks=1), r"blocks\.1\.weight: .*has nothing called '1'"),
        (lambda: TorchTree(blocks=1), keras_tree, r"conv2d.*kernel.*left over in the Keras layer"),
        (TorchTree, lambda: keras_tree(width=5), r"blocks\.0\.weight: float32 of shape \(4, 4, 1, 1\) in PyTorch"),
        (TorchTree, lambda: keras_tree(extra=True), r"dense.*kernel.*left over in the Keras layer"),
        (TorchTree, KerasTree, r"stem.*weight: .*"),
        (lambda: nn.Linear(3, 2), lambda: keras.layers.Dense(2), r"weight: .*is not built"),
        (
            lambda: nn.Linear(3, 2),
            lambda: built(keras.layers.Dense(2, use_bias=False), 3),
            r"bias: .*no such parameter",
        ),
        (lambda: nn.Linear(3, 2, bias=False), lambda: built(keras.layers.Dense(2), 3), r"bias.*left over"),
        (lambda: nn.Linear(3, 2).double(), lambda: built(keras.layers.Dense(2), 3), r"weight: float64.*float32"),
        (
            lambda: nn.BatchNorm2d(2),
            lambda: built(keras.layers.BatchNormalization(scale=False), 2),
            r"weight: .*no such",
        ),
    ],
    ids=[
        "missing",
        "left-over-in-list",
        "shape",
        "left-over",
        "unbuilt-tree",
        "unbuilt",
        "no-bias",
        "bias",
        "type",
        "scale",
    ],
)
def test_structures_that_differ(module, layer, message, direction):
    module, layer = module(), layer()
    before = [value.clone() for value in module.state_dict().values()], [np.array(w) for w in layer.weights]
    with pytest.raises(ValueError, match=message):
        port(*((module, layer) if direction == "to keras" else (layer, module)))
    assert all(torch.equal(a, b) for a, b in zip(before[0], module.state_dict().values()))
    assert all(np.array_equal(a, np.array(b)) for a, b in zip(before[1], layer.weights))


@pytest.mark.parametrize(
    "pair", [(nn.Linear(1, 1), nn.Linear(1, 1)), (nn.Linear(1, 1), 3), ("x", keras.layers.Dense(1))]
)
def test_wrong_types(pair):
    with pytest.raises(TypeError, match=r"port needs a torch\.nn\.Module and a Keras layer or model, or .*, got"):
        port(*pair)


def test_import_loads_no_framework():
    code = "import sys, msvision.port; assert not {'torch', 'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# -- state dictionaries ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_torchvision_s_resnets(name, framework):
    peer = randomised(getattr(torchvision().models, name)(weights=None))
    ours = getattr({"torch": msv_torch, "tensorflow": msv_tensorflow}[framework], name)()
    if framework == "tensorflow":
        ours.build((None, None, None, 3))
    with pytest.raises(ValueError, match=r"fc\.(bias|weight)"):
        port(peer.state_dict(), ours)
    port(peer.state_dict(), ours, skip=("fc.",))
    conv = ours.layer4[1].conv2
    kernel = conv.weight.detach() if framework == "torch" else torch.from_numpy(conv.kernel.numpy()).permute(3, 2, 0, 1)
    assert torch.equal(kernel, peer.layer4[1].conv2.weight)


def test_old_names_of_the_feature_pyramid():
    state = {
        name: torch.rand(shape)
        for name, shape in {
            "inner_blocks.0.weight": (4, 2, 1, 1),
            "inner_blocks.0.bias": (4,),
            "layer_blocks.0.weight": (4, 4, 3, 3),
            "layer_blocks.0.bias": (4,),
        }.items()
    }
    fpn = msv_torch.FPN([2], 4)
    port(state, fpn)
    assert torch.equal(fpn.laterals[0].weight, state["inner_blocks.0.weight"])


@pytest.mark.parametrize(
    "change, error, message",
    [
        (lambda s: {"weight": s["weight"]}, ValueError, "bias: missing in the state_dict|bias.*left over in the Keras"),
        (
            lambda s: s | {"more": torch.ones(1)},
            ValueError,
            "more: (left over in the state_dict|the Keras layer .* no)",
        ),
        (lambda s: s | {"weight": torch.ones(3, 3)}, ValueError, r"weight: float32 of shape \(3, 3\)"),
        (lambda s: s | {"bias": torch.ones(2).double()}, ValueError, "bias: float64 of shape"),
        (lambda s: s | {"bias": [1.0, 2.0]}, TypeError, "bias: a state_dict holds tensors, got list"),
    ],
    ids=["missing", "left-over", "shape", "type", "list"],
)
@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_state_dicts_that_do_not_fit(change, error, message, framework):
    state = {"weight": torch.zeros(2, 3), "bias": torch.ones(2)}
    target = nn.Linear(3, 2) if framework == "torch" else built(keras.layers.Dense(2), 3)
    values = list(target.parameters()) if framework == "torch" else target.weights
    before = [np.array(value.detach() if framework == "torch" else value) for value in values]
    with pytest.raises(error, match=message):
        port(change(state), target)
    for a, b in zip(before, values):
        np.testing.assert_array_equal(a, b.detach() if framework == "torch" else b)
    port({name: value.numpy() for name, value in state.items()}, target)  # arrays are taken too
    np.testing.assert_array_equal(values[1].detach() if framework == "torch" else values[1], [1, 1])


def test_skip_is_a_tuple():
    with pytest.raises(TypeError, match=r"skip must be a tuple of beginnings of names, got 'fc\.'"):
        port({}, nn.Linear(1, 1), skip="fc.")


def test_skipped_parameters_stay():
    source, target = randomised(TorchTree()), keras_tree(extra=True)
    before = np.array(target.extra.kernel), np.array(target.fusion)
    port(source, target, skip=("extra.", "fusion"))
    np.testing.assert_array_equal(before[0], target.extra.kernel)
    np.testing.assert_array_equal(before[1], target.fusion)


@pytest.mark.parametrize(
    "module, layer",
    [
        (lambda: nn.GroupNorm(2, 4), lambda: built(keras.layers.GroupNormalization(2), 5, 5, 4)),
        (lambda: nn.LayerNorm(4), lambda: built(keras.layers.LayerNormalization(), 4)),
        (lambda: nn.Embedding(5, 4), lambda: built(keras.layers.Embedding(5, 4), 3)),
    ],
    ids=["group", "layer", "embedding"],
)
def test_other_kinds_of_layer(module, layer):
    source, middle, back = randomised(module()), layer(), randomised(module(), seed=1)
    port(source, middle)
    port(middle, back)
    assert all(torch.equal(value, back.state_dict()[name]) for name, value in source.state_dict().items())


# -- what tutorials port wrong ---------------------------------------------------------------------------------------


def test_momentum_means_the_opposite():
    theirs, x = nn.BatchNorm2d(1, momentum=0.1), torch.full((4, 1, 2, 2), 10.0)
    theirs(x)
    for momentum, wanted in ((0.1, 9.0), (0.9, 1.0)):  # copied, ported
        ours = keras.layers.BatchNormalization(momentum=momentum)
        ours(x.movedim(1, -1).numpy(), training=True)
        np.testing.assert_allclose(ours.moving_mean, [wanted], rtol=1e-6)
    np.testing.assert_allclose(theirs.running_mean, [1.0], rtol=1e-6)


def test_frozen_normalisation_goes_on_counting_in_pytorch():
    theirs, x = nn.BatchNorm2d(1).requires_grad_(False), torch.full((4, 1, 2, 2), 10.0)
    theirs(x)
    assert theirs.running_mean.item() == pytest.approx(1.0)
    ours = keras.layers.BatchNormalization(trainable=False)
    ours(x.movedim(1, -1).numpy(), training=True)
    np.testing.assert_array_equal(ours.moving_mean, [0.0])
