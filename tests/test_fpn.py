"""Feature pyramid networks: what they are whatever the sizes, and that they are torchvision's."""

from collections import OrderedDict

import numpy as np
import peers
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from measured import assert_agrees

from msvision import geometry
from msvision import tensorflow as msv_tensorflow
from msvision import torch as msv_torch
from msvision.port import port
from msvision.tensorflow._layers import resized as resized_tensorflow
from msvision.torch._layers import resized as resized_torch

CHANNELS = [4, 6, 8]
EXTRAS = {None: None, "pool": "LastLevelMaxPool", "convolutions": "LastLevelP6P7"}
sizes = st.integers(1, 64)


def levels_of(size, channels=CHANNELS, batch=2):
    torch.manual_seed(0)
    return [torch.randn(batch, c, *s) for c, s in zip(channels, geometry.level_shapes(size, len(channels)))]


def to_tensorflow(levels):
    return [tf.constant(level.movedim(1, -1).numpy()) for level in levels]


def to_numpy(levels):
    return [np.moveaxis(level.numpy(), -1, 1) for level in levels]


def ported_from(peer, **arguments):
    """Our network with the parameters of torchvision's, in both frameworks."""
    there, here = msv_torch.FPN(CHANNELS, 16, **arguments), msv_tensorflow.FPN(16, **arguments)
    here.build([(None, None, None, c) for c in CHANNELS])
    for network in (there, here):
        port(peer.state_dict(), network)
    return there, here


# -- the peer --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (5, 8), (64, 64), (65, 47), (97, 33), (50, 75)], ids=str)
@pytest.mark.parametrize("extra", EXTRAS)
def test_equal_to_torchvision(extra, size):
    ops = peers.torchvision().ops
    kind = getattr(ops.feature_pyramid_network, EXTRAS[extra]) if extra else None
    blocks = {None: lambda: None, "pool": lambda: kind(), "convolutions": lambda: kind(CHANNELS[-1], 16)}[extra]()
    peer = ops.FeaturePyramidNetwork(CHANNELS, 16, extra_blocks=blocks)
    for value in peer.parameters():  # biases too
        torch.nn.init.normal_(value, std=0.2)
    there, here = ported_from(peer, extra=extra)
    levels = levels_of(size)
    with torch.no_grad():
        wanted = list(peer(OrderedDict((str(i), level) for i, level in enumerate(levels))).values())
        against, wanted = "torchvision 0.28.0 FeaturePyramidNetwork, parameters ported", [a.numpy() for a in wanted]
        assert_agrees("FPN", "PyTorch", against, [level.numpy() for level in there(levels)], wanted, 1e-6)
    assert_agrees("FPN", "TensorFlow", against, to_numpy(here(to_tensorflow(levels))), wanted)


def test_starts_as_torchvision_starts():
    peer = peers.torchvision().ops.FeaturePyramidNetwork(CHANNELS, 64)
    here = msv_tensorflow.FPN(64)
    here.build([(None, None, None, c) for c in CHANNELS])
    there = msv_torch.FPN(CHANNELS, 64)
    for a, b, c in zip(peer.layer_blocks, there.smooth, here.smooth):
        bound = float(np.sqrt(3 / (64 * 9)))
        for kernel in (a[0].weight, b.weight, torch.tensor(c.kernel.numpy())):
            assert 0.99 * bound < kernel.abs().max() <= bound * 1.0001
        assert not b.bias.any() and not c.bias.numpy().any()


# -- resizing --------------------------------------------------------------------------------------------------------


@given(size=st.tuples(sizes, sizes), out_size=st.tuples(sizes, sizes))
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_both_frameworks_resize_alike(interpolation, size, out_size):
    x = torch.rand(1, 2, *size)
    images, wanted = to_tensorflow([x])[0], resized_torch(x, out_size, interpolation).movedim(1, -1).numpy()
    atol = 0 if interpolation == "nearest" else 1e-5
    np.testing.assert_allclose(resized_tensorflow(images, out_size, interpolation), wanted, atol=atol)

    @tf.function
    def in_a_graph(images):
        return resized_tensorflow(images, out_size, interpolation)

    np.testing.assert_allclose(in_a_graph(images), wanted, atol=atol)


def test_keras_nearest_is_another_one():
    x = torch.arange(3.0).reshape(1, 1, 1, 3)
    images = to_tensorflow([x])[0]
    assert F.interpolate(x, (1, 5), mode="nearest").flatten().tolist() == [0, 0, 1, 1, 2]
    assert resized_tensorflow(images, (1, 5), "nearest").numpy().ravel().tolist() == [0, 0, 1, 1, 2]
    assert tf.image.resize(images, (1, 5), "nearest").numpy().ravel().tolist() == [0, 0, 1, 2, 2]


def test_every_pair_of_sizes_gives_the_pixels_that_pytorch_takes():
    for size in range(1, 90):
        row = torch.arange(float(size)).reshape(1, 1, size)
        for out_size in range(1, 130):
            wanted = F.interpolate(row, out_size, mode="nearest").flatten().long().tolist()
            assert geometry.nearest_indices(size, out_size, half_pixel=False).tolist() == wanted


# -- properties ------------------------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(size=st.tuples(sizes, sizes), count=st.integers(1, 4))
def test_any_size_and_number_of_levels(size, count):
    channels = [2, 3, 4, 5][:count]
    levels = levels_of(size, channels)
    shapes = geometry.level_shapes(size, count + 2)
    there, here = msv_torch.FPN(channels, 6, extra="convolutions"), msv_tensorflow.FPN(6, extra="convolutions")
    assert [tuple(level.shape) for level in there(levels)] == [(2, 6, *shape) for shape in shapes]
    assert [tuple(level.shape) for level in here(to_tensorflow(levels))] == [(2, *shape, 6) for shape in shapes]


@given(sizes=st.lists(st.tuples(sizes, sizes), min_size=3, max_size=3))
@settings(max_examples=15)
def test_sizes_need_not_halve(sizes):
    levels = [torch.rand(1, c, *size) for c, size in zip(CHANNELS, sizes)]
    there, here = msv_torch.FPN(CHANNELS, 5), msv_tensorflow.FPN(5)
    here(to_tensorflow(levels))
    port(there, here)
    with torch.no_grad():
        for a, b in zip(there(levels), to_numpy(here(to_tensorflow(levels)))):
            np.testing.assert_allclose(b, a.numpy(), atol=1e-5)


def test_what_the_coarsest_level_sees_reaches_the_finest():
    fpn = msv_torch.FPN([1, 1, 1], 1, smoothing=False)
    torch.nn.init.ones_(fpn.laterals[2].weight)
    finest, _, _ = fpn([torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 4, 4), torch.eye(2)[None, None]])
    assert torch.equal(finest[0, 0], torch.kron(torch.eye(2), torch.ones(4, 4)))


# -- inputs that a built layer refuses -------------------------------------------------------------------------------


def test_a_built_keras_layer_refuses_other_levels():
    layer = msv_tensorflow.FPN(4)
    levels = to_tensorflow(levels_of((9, 16)))
    layer(levels)
    with pytest.raises(ValueError, match="levels must hold 3 levels, since in_channels does, got 2"):
        layer(levels[:2])
    with pytest.raises(ValueError, match=r"levels\[0\] must have 4 channels, got 3"):
        layer([levels[0][..., :3], *levels[1:]])
