"""Feature pyramid networks: coarse levels, which know what, tell fine ones, which know where (chapter 6).

Levels are lists of feature maps, finest first.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from msvision import checks, geometry
from msvision.tensorflow._layers import INTERPOLATIONS, LevelsLayer, height_width, lecun_conv, resized


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
        self.laterals = [lecun_conv(channels, out, 1, policy) for channels in in_channels]
        self.smooth = [lecun_conv(out, out, 3, policy) for _ in in_channels] if self.smoothing else []
        if self.extra == "convolutions":
            self.p6, self.p7 = lecun_conv(in_channels[-1], out, 3, policy, 2), lecun_conv(out, out, 3, policy, 2)

    def call(self, levels):
        levels = self.check(levels)
        laterals = [conv(level) for conv, level in zip(self.laterals, levels)]
        merged = laterals[-1:]
        for lateral in reversed(laterals[:-1]):
            merged.insert(0, lateral + resized(merged[0], height_width(lateral), self.interpolation))
        if self.smoothing:
            merged = [conv(level) for conv, level in zip(self.smooth, merged)]
        return merged + self._coarser(levels[-1], merged[-1])

    def _coarser(self, features, merged):
        if self.extra == "pool":  # one pixel of every 2 × 2: the maximum of a single number
            return [merged[:, ::2, ::2]]
        if self.extra == "convolutions":
            p6 = self.p6(features)
            return [p6, self.p7(tf.nn.relu(p6))]
        return []

    def get_config(self):
        names = ("out_channels", "interpolation", "smoothing", "extra")
        return super().get_config() | {name: getattr(self, name) for name in names}
