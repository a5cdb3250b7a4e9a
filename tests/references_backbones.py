"""The backbones, written out in NumPy."""

import numpy as np
from references import convolve
from references_resizing import normalise


def relu(x):
    return np.maximum(x, 0)


def conv_norm(x, weights, conv, norm, stride=1, rate=1):
    """A strided convolution, padded alike on all sides, is every ``stride``-th pixel of one that keeps the size."""
    return normalise(convolve(x, weights[f"{conv}.weight"], 0, rate)[:, ::stride, ::stride], weights, norm)


def simple_backbone(x, weights, widths):
    levels = []
    for stage in range(len(widths)):
        for number, stride in ((1, 2), (2, 1)):
            x = relu(conv_norm(x, weights, f"stages.{stage}.conv{number}", f"stages.{stage}.norm{number}", stride))
        levels.append(x)
    return levels


def resnet(depths, bottleneck):
    def reference(x, weights, output_stride=32):
        x = relu(conv_norm(x, weights, "conv1", "bn1", 2))
        height, width = x.shape[1:3]
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        taps = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
        x, reached, rate, levels = np.max(taps, axis=0)[:, ::2, ::2], 4, 1, []
        for stage, depth in enumerate(depths):
            stride = 2 if stage and reached < output_stride else 1
            later = rate * 2 if stage and stride == 1 else rate
            for number in range(depth):
                first = number == 0
                steps = stride if first else 1, rate if first else later, later
                x = block(x, weights, f"layer{stage + 1}.{number}", *steps)
            reached, rate = reached * stride, later
            levels.append(x)
        return levels

    def block(x, weights, name, stride, rate, later):
        settings = [(1, 1), (stride, rate), (1, 1)] if bottleneck else [(stride, rate), (1, later)]
        branch = x
        for number, setting in enumerate(settings, 1):
            branch = conv_norm(branch, weights, f"{name}.conv{number}", f"{name}.bn{number}", *setting)
            branch = relu(branch) if number < len(settings) else branch
        if f"{name}.downsample.0.weight" in weights:
            x = conv_norm(x, weights, f"{name}.downsample.0", f"{name}.downsample.1", stride)
        return relu(branch + x)

    return reference


def efficientnet_lite0(x, weights, output_stride=32):
    def same(size):  # where the first window of a stride of 2 has its centre: TensorFlow's "same" padding
        return slice(1 - size % 2, None, 2)

    def step(x, conv, norm, stride=1, rate=1):
        x = convolve(x, weights[f"{conv}.weight"], 0, rate)
        if stride == 2:
            x = x[:, same(x.shape[1]), same(x.shape[2])]
        return normalise(x, weights, norm, epsilon=1e-3)

    def clip(x):
        return np.clip(x, 0, 6)

    x, levels, reached, rate = clip(step(x, "conv_stem", "bn0", 2)), [], 2, 1
    for block in range(16):
        halves = block in (1, 3, 5, 11)
        name, stride, branch = f"blocks.{block}", 2 if halves and reached < output_stride else 1, x
        if block:
            branch = clip(step(branch, f"{name}.expand_conv", f"{name}.bn0"))
        branch = clip(step(branch, f"{name}.depthwise_conv", f"{name}.bn1", stride, rate))
        reached, rate = reached * stride, 2 * rate if halves and stride == 1 else rate
        branch = step(branch, f"{name}.project_conv", f"{name}.bn2")
        x = x + branch if branch.shape == x.shape and stride == 1 else branch
        if block in (2, 4, 10, 15):
            levels.append(x)
    return levels
