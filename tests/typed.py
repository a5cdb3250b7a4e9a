"""Code as users write it, for a type checker: what comes back has the type that the reference says, and what is wrong is
found before it runs (each ``type: ignore`` below has to be needed).

``mypy`` reads this file (tests/test_types.py); it is never run.
"""

from typing import assert_type

import numpy as np
import tensorflow as tf
import torch
from torch import Tensor, nn

import msvision
from msvision import geometry, metrics
from msvision import tensorflow as msv_tf
from msvision import torch as msv
from msvision.data import digit_scenes
from msvision.port import port

assert_type(msvision.__version__, str)

x = torch.rand(1, 3, 64, 48)
levels = msv.gaussian_pyramid(x, levels=3)
assert_type(levels, list[Tensor])
assert_type(msv.downsample(x), Tensor)
assert_type(msv.upsample(levels[1], size=(64, 48)), Tensor)
assert_type(msv.reconstruct(msv.laplacian_pyramid(x, 3)), Tensor)
found = msv.find_template(x, x[:, :, 8:24, 8:24])
assert_type(found.position, Tensor)
assert_type(found.comparisons, int)

backbone = msv.SimpleBackbone(3, widths=(8, 16, 16))
modules: list[nn.Module] = [
    backbone,
    msv.SpatialPyramidPooling(bins=(4, 2, 1), mode="average"),
    msv.ASPP(16, 32, rates=(1, 2, 3), separable=True),
    msv.FPN([8, 16, 16], 16),
    msv.WeightedFusion([8, 16, 16], 16, normalisation="fast"),
    msv.LearnableResizer(3, size=(32, 32)),
    msv.PSPNet(backbone, classes=5, bins=(1, 2, 3, 6)),
    msv.DeepLabV3(msv.resnet18(output_stride=16), classes=5),
    msv.FPNSegmenter(msv.efficientnet_lite0(weights="imagenet"), classes=5),
]
port(modules[-1], msv_tf.FPNSegmenter(msv_tf.efficientnet_lite0(weights="imagenet"), classes=5))
history = msv.fit(modules[-1], digit_scenes(8, seed=0), steps=1, progress=False)
predicted = msv.predict(modules[-1], np.zeros((1, 64, 64, 3), np.float32), batch_size=1)
assert_type(metrics.mean_iou(metrics.confusion_matrix(predicted, predicted, classes=5)), float)
assert_type(geometry.level_shapes((65, 47), levels=3), list[tuple[int, int]])
msv_tf.gaussian_pyramid(tf.zeros((1, 64, 48, 3)), levels=3)

msv.gaussian_pyramid(x, levels="3")  # type: ignore[arg-type]
msv.gaussian_pyramid(x, 3, 0.5, "reflect")  # type: ignore[call-arg]
msv.FPN(in_channel=[8], out_channels=8)  # type: ignore[call-arg]
msv.ASPP(16, rates=6)  # type: ignore[arg-type]
msv_tf.gaussian_pyramid(x, levels="3")  # type: ignore[arg-type]
msv.fit(modules[-1], 3, steps=1)  # type: ignore[arg-type]
