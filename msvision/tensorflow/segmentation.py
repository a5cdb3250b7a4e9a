"""Segmentation: what every pixel belongs to, from the levels of a backbone (chapters 4, 5, 6 and 9).

A backbone is a layer that returns a list of feature maps, finest first, and says in ``channels`` and ``reductions`` what
they hold: those of ``msvision.tensorflow``, or your own. The networks take images of any size and return logits of that
size.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from msvision import checks, geometry
from msvision.tensorflow._layers import Sequential, height_width, resized
from msvision.tensorflow.atrous import ASPP, AtrousSeparableConvolution, _normalised
from msvision.tensorflow.fpn import FPN
from msvision.tensorflow.pooling import ContextConvolution, PyramidPooling
from msvision.tensorflow.pyramids import _image


class _Segmenter(keras.layers.Layer):
    """What the networks share: the backbone, the auxiliary head, and logits of the size of the images."""

    def __init__(self, backbone: keras.layers.Layer, classes: int, auxiliary: bool, **kwargs):
        super().__init__(**kwargs)
        checks.check_backbone(backbone, auxiliary)
        self.backbone, self.classes, self.auxiliary = backbone, geometry.check_count("classes", classes), auxiliary
        self.aux_classifier = None
        if auxiliary:
            channels = backbone.channels[-2]
            self.aux_classifier = Sequential(
                self._head(self._conv(max(channels // 4, 1)), 0.1), dtype=self.dtype_policy
            )

    def build(self, input_shape):
        if not self.backbone.built:
            self.backbone.build(input_shape)
        self.make(self.backbone.channels)
        if self.auxiliary:
            self.aux_classifier.build(_maps(self.backbone.channels[-2]))

    def call(self, x, training=None):
        x = _image(x)
        levels, size = self.backbone(x, training=training), height_width(x)
        logits = resized(self.classify(levels, training), size, "bilinear")
        if not self.auxiliary:
            return logits
        return logits, resized(self.aux_classifier(levels[-2], training=training), size, "bilinear")

    def _conv(self, filters: int, kernel_size: int = 3) -> keras.layers.Conv2D:
        return keras.layers.Conv2D(filters, kernel_size, padding="same", use_bias=False, dtype=self.dtype_policy)

    def _convolution(self, filters: int, kernel_size: int = 3) -> list[keras.layers.Layer]:
        return _normalised(self._conv(filters, kernel_size))

    def _head(self, conv: keras.layers.Conv2D, dropout: float) -> list[keras.layers.Layer]:
        dropout = keras.layers.Dropout(checks.check_dropout(dropout), dtype=self.dtype_policy)
        return [*_normalised(conv), dropout, self._pixelwise()]

    def _pixelwise(self) -> keras.layers.Conv2D:
        return keras.layers.Conv2D(self.classes, 1, dtype=self.dtype_policy)

    def get_config(self):
        config = super().get_config() | {name: getattr(self, name) for name in self.arguments}
        backbone = keras.saving.serialize_keras_object(self.backbone)
        return config | {"backbone": backbone, "classes": self.classes, "auxiliary": self.auxiliary}

    @classmethod
    def from_config(cls, config):
        return cls(**config | {"backbone": keras.saving.deserialize_keras_object(config["backbone"])})


@keras.saving.register_keras_serializable("msvision")
class PSPNet(_Segmenter):
    """The pyramid scene parsing network: every pixel judged in the context of the whole scene (Zhao et al., CVPR 2017).

    The last level of the backbone, with its averages over the grids of :class:`PyramidPooling`, passes a 3 × 3
    convolution, BatchNorm, ReLU, dropout and a 1 × 1 convolution.

    Parameters
    ----------
    backbone : keras.Layer
        Returns levels, finest first. The paper's is ``resnet50(output_stride=8)``.
    classes
        Number of classes.
    bins
        Bins along each side of each grid.
    out_channels
        Channels of the 3 × 3 convolution.
    dropout
        Probability that a number before the last convolution is dropped in training.
    auxiliary
        Whether the level before the last gets a head of its own, whose loss helps deep backbones to train (section 3.3;
        the paper adds it with weight 0.4). It is torchvision's ``FCNHead``.

    Returns
    -------
    Tensor, shape (N, H, W, classes), from images (N, H, W, C)
        Logits. With ``auxiliary``, a pair: these, and those of the auxiliary head.

    Raises
    ------
    TypeError
        If ``backbone`` does not say its ``channels`` and ``reductions``, or a number is not an integer.
    ValueError
        If a number is less than 1, ``dropout`` not at least 0 and less than 1, or ``auxiliary`` asked of a backbone with
        one level. What the backbone refuses is refused.

    Notes
    -----
    Logits are enlarged bilinearly with half-pixel centres. Convolutions start as Keras'. One image trains.

    Examples
    --------
    >>> from msvision.tensorflow import SimpleBackbone
    >>> network = PSPNet(SimpleBackbone(widths=(8, 16, 16)), classes=5, out_channels=8)
    >>> network(tf.random.uniform((1, 65, 47, 3))).shape
    TensorShape([1, 65, 47, 5])
    """

    arguments = ("bins", "out_channels", "dropout")

    def __init__(
        self,
        backbone: keras.layers.Layer,
        classes: int,
        bins: tuple[int, ...] = (1, 2, 3, 6),
        out_channels: int = 512,
        dropout: float = 0.1,
        auxiliary: bool = False,
        **kwargs,
    ):
        super().__init__(backbone, classes, auxiliary, **kwargs)
        self.bins, self.dropout = checks.check_counts("bins", bins), dropout
        self.out_channels = geometry.check_count("out_channels", out_channels)
        pooling = PyramidPooling(bins, dtype=self.dtype_policy)
        conv = ContextConvolution(out_channels, dtype=self.dtype_policy)
        self.classifier = Sequential([pooling, *self._head(conv, dropout)], dtype=self.dtype_policy)

    def make(self, channels):
        self.classifier.build(_maps(channels[-1]))

    def classify(self, levels, training):
        pooling, conv, *rest = self.classifier.layers
        logits = conv(levels[-1], pooling.grids(levels[-1], training))  # conv(pooling(levels[-1])), in half the time
        for layer in rest:
            logits = layer(logits)
        return logits


@keras.saving.register_keras_serializable("msvision")
class DeepLabV3(_Segmenter):
    """Atrous spatial pyramid pooling on the last level of a dilated backbone (Chen et al., 2017, arXiv:1706.05587).

    :class:`ASPP`, a 3 × 3 convolution, BatchNorm, ReLU and a 1 × 1 convolution.

    Parameters
    ----------
    backbone : keras.Layer
        Returns levels, finest first. The paper's is ``resnet50`` or ``resnet101`` with ``output_stride`` 16 or 8.
    classes
        Number of classes.
    rates
        Rates of the ASPP. Unless given, those of the paper, which span the same part of the image at any output stride:
        (6, 12, 18) at 16, (12, 24, 36) at 8.
    out_channels
        Channels of the ASPP and of the 3 × 3 convolution.
    dropout
        Probability that a number of the ASPP's result is dropped in training.
    auxiliary
        Whether the level before the last gets a head of its own: torchvision's ``aux_loss``.

    Returns
    -------
    Tensor, shape (N, H, W, classes), from images (N, H, W, C)
        Logits. With ``auxiliary``, a pair: these, and those of the auxiliary head.

    Raises
    ------
    TypeError, ValueError
        As :class:`PSPNet`.

    Notes
    -----
    On ``resnet50(output_stride=8)`` it takes the parameters of torchvision's ``deeplabv3_resnet50``
    (:func:`msvision.port.port`), and gives the same logits. Convolutions start as Keras'. One image trains.

    Examples
    --------
    >>> from msvision.tensorflow import SimpleBackbone
    >>> network = DeepLabV3(SimpleBackbone(widths=(8, 16, 16)), classes=5, out_channels=8)
    >>> network.rates
    (12, 24, 36)
    >>> network(tf.random.uniform((1, 65, 47, 3))).shape
    TensorShape([1, 65, 47, 5])
    """

    arguments = ("rates", "out_channels", "dropout")

    def __init__(
        self,
        backbone: keras.layers.Layer,
        classes: int,
        rates: tuple[int, ...] | None = None,
        out_channels: int = 256,
        dropout: float = 0.5,
        auxiliary: bool = False,
        **kwargs,
    ):
        super().__init__(backbone, classes, auxiliary, **kwargs)
        self.rates = geometry.aspp_rates(backbone.reductions[-1]) if rates is None else rates
        self.out_channels, self.dropout, policy = out_channels, dropout, self.dtype_policy
        aspp = ASPP(out_channels, self.rates, dropout=dropout, dtype=policy)
        self.classifier = Sequential([aspp, *self._convolution(out_channels), self._pixelwise()], dtype=policy)

    def make(self, channels):
        self.classifier.build(_maps(channels[-1]))

    def classify(self, levels, training):
        return self.classifier(levels[-1], training=training)


@keras.saving.register_keras_serializable("msvision")
class DeepLabV3Plus(_Segmenter):
    """DeepLab v3 with a decoder that takes its edges from a fine level (Chen et al., ECCV 2018, section 3).

    The result of :class:`ASPP` is enlarged to a quarter of the image and concatenated with the backbone's level of that
    size, reduced to few channels; two separable 3 × 3 convolutions and a 1 × 1 convolution follow.

    Parameters
    ----------
    backbone : keras.Layer
        Returns levels, finest first. The fine level is the first with a reduction of 4 or more.
    classes
        Number of classes.
    rates
        Rates of the ASPP; unless given, as :class:`DeepLabV3`.
    out_channels
        Channels of the ASPP and of the decoder.
    low_level_channels
        Channels that the fine level is reduced to, so that it does not outweigh the rest.
    dropout
        Probability that a number of the ASPP's result is dropped in training.
    auxiliary
        Whether the level before the last gets a head of its own.

    Returns
    -------
    Tensor, shape (N, H, W, classes), from images (N, H, W, C)
        Logits. With ``auxiliary``, a pair: these, and those of the auxiliary head.

    Raises
    ------
    TypeError, ValueError
        As :class:`PSPNet`.

    Notes
    -----
    ASPP and decoder are separable, as in section 3.1 of the paper. Convolutions start as Keras'. One image trains.

    Examples
    --------
    >>> from msvision.tensorflow import SimpleBackbone
    >>> network = DeepLabV3Plus(SimpleBackbone(widths=(8, 16, 16)), classes=5, out_channels=8)
    >>> network(tf.random.uniform((1, 65, 47, 3))).shape
    TensorShape([1, 65, 47, 5])
    """

    arguments = ("rates", "out_channels", "low_level_channels", "dropout")

    def __init__(
        self,
        backbone: keras.layers.Layer,
        classes: int,
        rates: tuple[int, ...] | None = None,
        out_channels: int = 256,
        low_level_channels: int = 48,
        dropout: float = 0.5,
        auxiliary: bool = False,
        **kwargs,
    ):
        super().__init__(backbone, classes, auxiliary, **kwargs)
        self.fine = geometry.quarter_level(backbone.reductions)
        self.rates = geometry.aspp_rates(backbone.reductions[-1]) if rates is None else rates
        self.out_channels, self.dropout, policy = out_channels, dropout, self.dtype_policy
        self.low_level_channels = geometry.check_count("low_level_channels", low_level_channels)
        self.aspp = ASPP(out_channels, self.rates, separable=True, dropout=dropout, dtype=policy)
        self.low_level = Sequential(self._convolution(low_level_channels, 1), dtype=policy)
        decoder = [AtrousSeparableConvolution(out_channels, dtype=policy) for _ in range(2)]
        self.classifier = Sequential([*decoder, self._pixelwise()], dtype=policy)

    def make(self, channels):
        self.aspp.build(_maps(channels[-1]))
        self.low_level.build(_maps(channels[self.fine]))
        self.classifier.build(_maps(self.out_channels + self.low_level_channels))

    def classify(self, levels, training):
        low = self.low_level(levels[self.fine], training=training)
        context = resized(self.aspp(levels[-1], training=training), height_width(low), "bilinear")
        return self.classifier(tf.concat([context, low], axis=3), training=training)


@keras.saving.register_keras_serializable("msvision")
class FPNSegmenter(_Segmenter):
    """A feature pyramid whose levels are brought to one size and added (Kirillov et al., CVPR 2019, section 3.1).

    Each level of an :class:`FPN` passes 3 × 3 convolutions with BatchNorm and ReLU, each followed by bilinear enlarging to
    the size of the next finer level, until it has the size of the finest; their sum passes a 1 × 1 convolution.

    Parameters
    ----------
    backbone : keras.Layer
        Returns levels, finest first. Those with a reduction of 4 or more are used.
    classes
        Number of classes.
    out_channels
        Channels of the pyramid.
    branch_channels
        Channels of the convolutions after it.
    auxiliary
        Whether the level before the last gets a head of its own.

    Returns
    -------
    Tensor, shape (N, H, W, classes), from images (N, H, W, C)
        Logits. With ``auxiliary``, a pair: these, and those of the auxiliary head.

    Raises
    ------
    TypeError, ValueError
        As :class:`PSPNet`.

    Notes
    -----
    The paper has GroupNorm where BatchNorm stands here, and sizes that divide. Convolutions of the pyramid start as those
    of :class:`FPN`, others as Keras'. One image trains.

    Examples
    --------
    >>> from msvision.tensorflow import SimpleBackbone
    >>> network = FPNSegmenter(SimpleBackbone(widths=(8, 16, 16)), classes=5, out_channels=8, branch_channels=8)
    >>> network(tf.random.uniform((1, 65, 47, 3))).shape
    TensorShape([1, 65, 47, 5])
    """

    arguments = ("out_channels", "branch_channels")

    def __init__(
        self,
        backbone: keras.layers.Layer,
        classes: int,
        out_channels: int = 256,
        branch_channels: int = 128,
        auxiliary: bool = False,
        **kwargs,
    ):
        super().__init__(backbone, classes, auxiliary, **kwargs)
        self.fine = geometry.quarter_level(backbone.reductions)
        self.out_channels, policy = out_channels, self.dtype_policy
        self.branch_channels = geometry.check_count("branch_channels", branch_channels)
        self.fpn = FPN(out_channels, dtype=policy)
        self.branches = [
            Branch([Sequential(self._convolution(branch_channels), dtype=policy) for _ in range(max(level, 1))])
            for level in range(len(backbone.channels) - self.fine)
        ]
        self.classifier = self._pixelwise()

    def make(self, channels):
        self.fpn.build([_maps(count) for count in channels[self.fine :]])
        for branch in self.branches:
            branch.build(_maps(self.out_channels))
        self.classifier.build(_maps(self.branch_channels))

    def classify(self, levels, training):
        maps = self.fpn(levels[self.fine :])
        sizes = [height_width(level) for level in maps]
        # each is enlarged to the sizes of all finer levels, one after the other
        branches = [
            branch(x, sizes=sizes[:number][::-1], training=training)
            for number, (branch, x) in enumerate(zip(self.branches, maps))
        ]
        return self.classifier(sum(branches))


class Branch(keras.layers.Layer):
    """Convolutions with BatchNorm and ReLU, each followed by enlarging, as long as there are sizes."""

    def __init__(self, steps: list[keras.layers.Layer]):
        super().__init__(dtype=steps[0].dtype_policy)
        self.steps = steps

    def build(self, input_shape):
        for step in self.steps:
            step.build(input_shape)
            input_shape = _maps(step.layers[0].filters)

    def call(self, x, sizes, training=None):
        for number, step in enumerate(self.steps):
            x = step(x, training=training)
            x = resized(x, sizes[number], "bilinear") if number < len(sizes) else x
        return x


def _maps(channels: int) -> tuple:
    return (None, None, None, channels)
