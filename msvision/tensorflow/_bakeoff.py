"""The networks of the bake-off (chapter 9), and what is asked of TensorFlow about a run."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from msvision import geometry
from msvision import tensorflow as msv
from msvision.bakeoff import STEPS
from msvision.tensorflow._layers import BatchNorm, Sequential, height_width, resized
from msvision.tensorflow.backbones import SimpleBackbone
from msvision.tensorflow.efficientnet import efficientnet_lite0
from msvision.tensorflow.resizing import LearnableResizer, _resize
from msvision.tensorflow.segmentation import DeepLabV3, DeepLabV3Plus, FPNSegmenter, PSPNet, _maps, _Segmenter


def prepare(seed: int, threads: int | None) -> None:
    """Seed what is random, and compute on so many threads."""
    keras.utils.set_random_seed(seed)
    warnings.filterwarnings("ignore", "Gradients do not exist")  # for norms of levels that a head does not look at
    if threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


def build(
    model: str,
    size: tuple[int, int],
    in_channels: int,
    classes: int,
    widths: tuple[int, ...] | None,
    head: int,
    rates: tuple[int, ...],
) -> keras.layers.Layer:
    """A network on a backbone of these widths, or without them on a pretrained one. ``head`` is the width of all heads."""
    backbone = SimpleBackbone(widths) if widths else Pretrained()
    if model == "FCN":
        network = FPNSegmenter(LastLevel(backbone), classes, head, head)
    elif model in ("GlobalContext", "PSPNet"):
        bins = (1,) if model == "GlobalContext" else (1, 2, 3, 6)
        network = PSPNet(backbone, classes, bins, head, dropout=0.1)
    elif model == "DeepLabV3":
        network = DeepLabV3(backbone, classes, rates, head, dropout=0.1)
    elif model == "DeepLabV3Plus":
        network = DeepLabV3Plus(backbone, classes, rates, head, low_level_channels=head // 2, dropout=0.1)
    elif model in STEPS:
        network = Fused(backbone, classes, head, [getattr(msv, step) for step in STEPS[model]])
    else:
        network = FPNSegmenter(backbone, classes, head, head)
        if model != "FPNSegmenter":
            network = HalfSize(network, size, learned=model == "LearnableResizer+FPNSegmenter")
    network.build((None, None, None, in_channels))
    return network


def parameters(model: keras.layers.Layer) -> int:
    """How many numbers are trained."""
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def gpu() -> tuple[str | None, int | None]:
    """What the GPU is called, and the most bytes of it that were in use at once."""
    devices = tf.config.list_physical_devices("GPU")
    if not devices:
        return None, None
    name = tf.config.experimental.get_device_details(devices[0]).get("device_name")
    return name, tf.config.experimental.get_memory_info("GPU:0")["peak"]


def classifier(model: keras.layers.Layer) -> Callable:
    """A function from images, an array (N, H, W, C), to the class of each pixel, to be timed: as a graph."""
    classes = tf.function(lambda images: tf.argmax(model(images), -1))
    return lambda images: classes(tf.constant(images)).numpy()


class LastLevel(keras.layers.Layer):
    """A backbone that keeps all but its last level to itself."""

    def __init__(self, backbone: keras.layers.Layer):
        super().__init__()
        self.backbone, self.channels, self.reductions = backbone, backbone.channels[-1:], backbone.reductions[-1:]

    def build(self, input_shape):
        self.backbone.build(input_shape)

    def call(self, x, training=None):
        return self.backbone(x)[-1:]  # Keras hands training on


class Fused(_Segmenter):
    """Levels that become one map, step by step, and a head on it."""

    def __init__(self, backbone: keras.layers.Layer, classes: int, width: int, steps: list):
        super().__init__(backbone, classes, auxiliary=False)
        self.width, self.fine = width, geometry.quarter_level(backbone.reductions)
        self.steps = [step(width) for step in steps]
        self.head = Sequential(self._head(self._conv(width), 0.1))

    def make(self, channels):
        shapes = [_maps(count) for count in channels[self.fine :]]
        for step in self.steps:
            step.build(shapes)
            shapes = len(shapes) * [_maps(self.width)]
        self.head.build(_maps(self.width))

    def classify(self, levels, training):
        x = levels[self.fine :]
        for step in self.steps:
            x = step(x)
        return self.head(x, training=training)


class HalfSize(keras.layers.Layer):
    """A network that sees images at half their size, made by a resizer that learns, or not."""

    def __init__(self, network: keras.layers.Layer, size: tuple[int, int], learned: bool):
        super().__init__()
        self.network, self.small = network, tuple(-(-n // 2) for n in size)
        self.resizer = LearnableResizer(self.small, antialias=True) if learned else None

    def build(self, input_shape):
        if self.resizer:
            self.resizer.build(input_shape)
        self.network.build(input_shape)

    def call(self, x, training=None):
        small = self.resizer(x) if self.resizer else _resize(x, self.small, "bilinear", True)
        return resized(self.network(small), height_width(x), "bilinear")


class Pretrained(keras.layers.Layer):
    """EfficientNet-Lite0 as ImageNet left it, never trained, down to a sixteenth of the image; images are in [0, 1].

    Its levels differ much in size, so that each is normalised.
    """

    def __init__(self):
        super().__init__()
        self.backbone = efficientnet_lite0(weights="imagenet")
        self.backbone.trainable = False  # its statistics are those of ImageNet
        self.channels, self.reductions = self.backbone.channels[:3], self.backbone.reductions[:3]
        self.norms = [BatchNorm() for _ in self.channels]

    def build(self, input_shape):
        if not self.backbone.built:
            self.backbone.build(input_shape)
        for norm, channels in zip(self.norms, self.channels):
            norm.build((None, None, None, channels))

    def call(self, x, training=None):
        levels = self.backbone((255 * x - 127) / 128)
        return [norm(level) for norm, level in zip(self.norms, levels)]
