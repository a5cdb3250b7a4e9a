"""The segmentation networks against torchvision, whole, and what they promise about sizes and rates."""

import numpy as np
import pytest
import tensorflow as tf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from measured import assert_agrees
from peers import torchvision
from test_backbones import trained

from msvision import tensorflow as msv_tensorflow
from msvision import torch as msv_torch
from msvision.port import port

NETWORKS = ("PSPNet", "DeepLabV3", "DeepLabV3Plus", "FPNSegmenter")


def channels_last(tensor):
    return tensor.detach().permute(0, 2, 3, 1).numpy()


def pair(name, widths=(8, 6, 8), **arguments):
    """A network in both frameworks, with the same parameters."""
    arguments = {"classes": 5, "out_channels": 8} | arguments
    ours = getattr(msv_torch, name)(msv_torch.SimpleBackbone(widths=widths), **arguments).eval()
    theirs = getattr(msv_tensorflow, name)(msv_tensorflow.SimpleBackbone(widths=widths), **arguments)
    theirs.build((None, None, None, 3))
    port(ours, theirs)
    return ours, theirs


# -- torchvision -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["deeplabv3_resnet50", "deeplabv3_resnet101"])
def peer(request):
    torch.manual_seed(0)
    make = getattr(torchvision().models.segmentation, request.param)
    return request.param, trained(make(weights=None, weights_backbone=None, num_classes=21, aux_loss=True))


def test_whole_checkpoints_give_the_same_logits(peer):
    name, network = peer
    depth = name.partition("_")[2]
    ours = msv_torch.DeepLabV3(getattr(msv_torch, depth)(output_stride=8), 21, auxiliary=True).eval()
    theirs = msv_tensorflow.DeepLabV3(getattr(msv_tensorflow, depth)(output_stride=8), 21, auxiliary=True)
    theirs.build((None, None, None, 3))
    state = network.state_dict()
    ours.load_state_dict(state)  # the names are torchvision's
    port(state, theirs)
    x = torch.rand(1, 3, 97, 65, generator=torch.Generator().manual_seed(0))
    wanted = network(x)
    wanted = [channels_last(wanted["out"]), channels_last(wanted["aux"])]
    against = f"torchvision 0.28.0 {name}, whole, parameters ported"
    with torch.no_grad():
        assert_agrees("DeepLabV3", "PyTorch", against, map(channels_last, ours(x)), wanted)
    assert_agrees("DeepLabV3", "TensorFlow", against, [y.numpy() for y in theirs(channels_last(x))], wanted)
    same = np.mean(theirs(channels_last(x))[0].numpy().argmax(-1) == wanted[0].argmax(-1))
    assert same == 1  # the same picture


def test_checkpoints_with_and_without_the_auxiliary_head(peer):
    name, network = peer
    if name != "deeplabv3_resnet50":
        pytest.skip("one is enough")
    state = network.state_dict()
    for msv in (msv_torch, msv_tensorflow):
        plain = msv.DeepLabV3(msv.resnet50(output_stride=8), 21)
        if msv is msv_tensorflow:
            plain.build((None, None, None, 3))
        with pytest.raises(ValueError, match=r"aux_classifier\.0\.weight"):
            port(state, plain)
        port(state, plain, skip=("aux_classifier.",))
        both = msv.DeepLabV3(msv.resnet50(output_stride=8), 21, auxiliary=True)
        if msv is msv_tensorflow:
            both.build((None, None, None, 3))
        without = {key: value for key, value in state.items() if not key.startswith("aux_classifier.")}
        with pytest.raises(ValueError, match=r"missing in the state_dict|left over in the Keras layer"):
            port(without, both)
        port(without, both, skip=("aux_classifier.",))
        last = both.classifier[4].weight if msv is msv_torch else both.classifier.layers[4].kernel
        weight = last.detach().numpy() if msv is msv_torch else last.numpy().transpose(3, 2, 0, 1)
        np.testing.assert_array_equal(weight, state["classifier.4.weight"])


def test_torchvision_refuses_one_image_in_training():
    network = torchvision().models.segmentation.deeplabv3_resnet50(weights=None, weights_backbone=None).train()
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        network(torch.rand(1, 3, 33, 33))


# -- promises --------------------------------------------------------------------------------------------------------


@settings(max_examples=6)
@given(height=st.integers(1, 60), width=st.integers(1, 60))
@pytest.mark.parametrize("name", NETWORKS)
def test_logits_have_the_size_of_the_image(name, height, width):
    network = getattr(msv_torch, name)(msv_torch.SimpleBackbone(widths=(4, 4, 4)), 3, out_channels=4).eval()
    assert network(torch.rand(1, 3, height, width)).shape == (1, 3, height, width)


@pytest.mark.parametrize("name", NETWORKS)
def test_training_mode_agrees(name):
    ours, theirs = pair(name, **({} if name == "FPNSegmenter" else {"dropout": 0.0}))
    x = torch.rand(3, 3, 33, 47)
    wanted = channels_last(ours.double().train()(x.double()))
    result = theirs(channels_last(x), training=True).numpy()
    assert_agrees(name, "TensorFlow", "the PyTorch form in double precision, training", result, wanted, 1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_auxiliary_head_reads_the_level_before_the_last(name):
    ours, theirs = pair(name, auxiliary=True)
    x = torch.rand(1, 3, 20, 31)
    logits, auxiliary = ours(x)
    levels = ours.backbone(x)
    wanted = torch.nn.functional.interpolate(ours.aux_classifier(levels[-2]), (20, 31), mode="bilinear")
    torch.testing.assert_close(auxiliary, wanted)
    for msv, network in ((msv_torch, ours), (msv_tensorflow, theirs)):
        np.testing.assert_array_equal(msv.predict(network, channels_last(x)), channels_last(logits).argmax(-1))
    there = theirs(channels_last(x))
    for a, b in zip((logits, auxiliary), there):
        np.testing.assert_allclose(b.numpy(), channels_last(a), atol=1e-5)
    with pytest.raises(ValueError, match="auxiliary must be False for a backbone of one level"):
        getattr(msv_torch, name)(msv_torch.SimpleBackbone(widths=(4,)), 3, auxiliary=True)


@pytest.mark.parametrize("stride, rates", [(8, (12, 24, 36)), (16, (6, 12, 18)), (32, (3, 6, 9))])
@pytest.mark.parametrize("msv", [msv_torch, msv_tensorflow], ids=["torch", "tensorflow"])
def test_rates_follow_the_output_stride(msv, stride, rates):
    network = msv.DeepLabV3(msv.resnet18(output_stride=stride), 2)
    aspp = network.classifier[0] if msv is msv_torch else network.classifier.layers[0]
    assert tuple(aspp.rates) == tuple(network.rates) == rates


def test_a_backbone_that_is_built_keeps_its_parameters():
    backbone = msv_tensorflow.SimpleBackbone(widths=(4, 4))
    backbone(tf.zeros((1, 8, 8, 3)))
    before = backbone.get_weights()
    network = msv_tensorflow.PSPNet(backbone, 2, out_channels=4)
    network(tf.zeros((1, 8, 8, 3)))
    assert all(np.array_equal(a, b) for a, b in zip(before, backbone.get_weights()))


def test_any_backbone_that_says_what_it_returns():
    class Halves(torch.nn.Module):
        channels, reductions = (3, 3), (1, 2)

        def forward(self, x):
            return [x, x[:, :, ::2, ::2]]

    assert msv_torch.FPNSegmenter(Halves(), 2).eval()(torch.rand(1, 3, 5, 4)).shape == (1, 2, 5, 4)
    with pytest.raises(TypeError, match="backbone must have attributes channels and reductions"):
        msv_torch.FPNSegmenter(torch.nn.Identity(), 2)
