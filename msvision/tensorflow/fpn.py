"""Feature pyramid networks: coarse levels, which know what, tell fine ones, which know where (chapter 6).

Levels are lists of feature maps, finest first.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from msvision import checks, geometry
from msvision.tensorflow.pyramids import _gather, _image, _namespace, _size

INTERPOLATIONS = ("nearest", "bilinear")


class LevelsLayer(keras.layers.Layer):
    """What layers that take a list of levels share: the channels are found out, and checked, before they are built."""

    def __call__(self, levels, *args, **kwargs):
        checks.check_level_list(levels)
        return super().__call__(levels, *args, **kwargs)

    def build(self, input_shape):
        self.in_channels = [shape[-1] for shape in input_shape]
        self.make(checks.check_channel_list(self.in_channels))

    def check(self, levels: list[tf.Tensor]) -> list[tf.Tensor]:
        levels = [_image(level, f"levels[{number}]") for number, level in enumerate(levels)]
        checks.check_features([tuple(level.shape) for level in levels], self.in_channels, "NHWC")
        return levels


@keras.saving.register_keras_serializable("msvision")
class FPN(LevelsLayer):
    """A feature pyramid network: strong features at every level of a backbone (Lin et al., CVPR 2017, section 3).

    Every level passes a 1×1 convolution (its lateral connection); from the coarsest down, each is enlarged to the size of
    the next finer lateral, whatever that is, and added to it; a 3×3 convolution smooths each sum.

    Parameters
    ----------
    out_channels
        Channels of every level of the result.
    interpolation : {"nearest", "bilinear"}
        How a coarser level is enlarged. "nearest" copies pixel ``floor(i * size / larger size)``, as torchvision does;
        "bilinear" has half-pixel centres.
    smoothing
        Whether each sum passes a 3×3 convolution, which evens out what enlarging leaves.
    extra : {None, "pool", "convolutions"}
        Coarser levels after the last: "pool" takes every second pixel of the coarsest result (one level; Lin et al.,
        section 4.1, torchvision's ``LastLevelMaxPool``). "convolutions" makes two by 3×3 convolutions of stride 2, P6 from
        the coarsest input and P7 from P6 after a ReLU (Lin et al., ICCV 2017, RetinaNet, section 4; torchvision's
        ``LastLevelP6P7`` where its ``in_channels`` differ from its ``out_channels``).

    Returns
    -------
    list of Tensor, shapes (N, H_l, W_l, out_channels)
        Finest first, sizes as given; each extra level has half the size of the one before it, rounded up. Any range.

    Raises
    ------
    TypeError, ValueError
        If an argument is not one of those above; in the call, if ``levels`` is not a list of floating-point tensors
        (N, H_l, W_l, C_l) with the channels that the layer was built with, finest first.

    Notes
    -----
    Kernels start uniform in ± sqrt(3 / fan-in) and biases at zero in both frameworks, as torchvision's do.

    Examples
    --------
    >>> fpn = FPN(out_channels=4, extra="pool")
    >>> levels = [tf.ones((1, 33, 21, 8)), tf.ones((1, 17, 11, 16)), tf.ones((1, 9, 6, 32))]
    >>> [tuple(level.shape) for level in fpn(levels)]
    [(1, 33, 21, 4), (1, 17, 11, 4), (1, 9, 6, 4), (1, 5, 3, 4)]
    """

    def __init__(
        self,
        out_channels: int = 256,
        interpolation: str = "nearest",
        smoothing: bool = True,
        extra: str | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.out_channels = geometry.check_count("out_channels", out_channels)
        self.interpolation = checks.check_choice("interpolation", interpolation, INTERPOLATIONS)
        self.smoothing, self.extra = smoothing, checks.check_choice("extra", extra, (None, "pool", "convolutions"))

    def make(self, in_channels):
        out, policy = self.out_channels, self.dtype_policy
        self.laterals = [_conv(channels, out, 1, policy) for channels in in_channels]
        self.smooth = [_conv(out, out, 3, policy) for _ in in_channels] if self.smoothing else []
        if self.extra == "convolutions":
            self.p6, self.p7 = _conv(in_channels[-1], out, 3, policy, 2), _conv(out, out, 3, policy, 2)

    def call(self, levels):
        levels = self.check(levels)
        laterals = [conv(level) for conv, level in zip(self.laterals, levels)]
        merged = laterals[-1:]
        for lateral in reversed(laterals[:-1]):
            merged.insert(0, lateral + _resized(merged[0], _shape(lateral), self.interpolation))
        if self.smoothing:
            merged = [conv(level) for conv, level in zip(self.smooth, merged)]
        return merged + self._coarser(levels[-1], merged[-1])

    def _coarser(self, features, merged):
        if self.extra == "pool":  # one pixel of every 2 × 2: the maximum of a single number
            return [merged[:, ::2, ::2]]
        if self.extra == "convolutions":
            p6 = self.p6(_padded(features))
            return [p6, self.p7(_padded(tf.nn.relu(p6)))]
        return []

    def get_config(self):
        names = ("out_channels", "interpolation", "smoothing", "extra")
        return super().get_config() | {name: getattr(self, name) for name in names}


# -- the steps -------------------------------------------------------------------------------------------------------


def _conv(in_channels: int, out_channels: int, kernel_size: int, policy, stride: int = 1) -> keras.layers.Conv2D:
    """A built convolution; with a stride, it takes an input that :func:`_padded` has padded."""
    padding, start = ("same" if stride == 1 else "valid"), keras.initializers.LecunUniform()
    conv = keras.layers.Conv2D(out_channels, kernel_size, stride, padding, kernel_initializer=start, dtype=policy)
    conv.build((None, None, None, in_channels))
    return conv


def _padded(x: tf.Tensor) -> tf.Tensor:
    """A pixel of zeros on each side, as PyTorch pads; "same" pads an even size after its last pixel only."""
    return tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))


def _resized(x: tf.Tensor, size: tuple, interpolation: str) -> tf.Tensor:
    """``x`` at another height and width, nothing smoothed first."""
    # TensorFlow's own operator computes in single precision, and is wrong under XLA for some sizes (33 to 65, 2.21).
    if interpolation == "bilinear" and x.dtype != tf.float64 and tf.executing_eagerly():
        return tf.cast(tf.image.resize(x, size, "bilinear"), x.dtype)
    for axis, wanted in zip((1, 2), size):
        count = _size(x, axis)
        xp = _namespace(wanted, count)
        if interpolation == "bilinear":
            x = _gather(x, axis, *geometry.half_pixel_taps(count, wanted, xp))
        else:
            x = tf.gather(x, geometry.nearest_indices(count, wanted, xp), axis=axis)
    return x


def _shape(x: tf.Tensor) -> tuple:
    return _size(x, 1), _size(x, 2)
