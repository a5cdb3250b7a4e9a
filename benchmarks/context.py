"""ASPP, PSPNet's bottleneck and SPP against torchvision, the form that mmsegmentation writes out, and Keras."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from measure import Case, run, taps_inside


def cases() -> Iterator[Case]:
    import keras
    import numpy as np
    import peers
    import tensorflow as tf
    import torch
    from torch import nn
    from torch.nn import functional as F

    from msvision import tensorflow as msv_tf
    from msvision import torch as msv_pt
    from msvision.port import port

    peers.torchvision()
    from torchvision.models.segmentation.deeplabv3 import ASPP

    torch.manual_seed(0)
    with torch.inference_mode():
        for side, rates, target in ((33, (6, 12, 18), 1.4), (65, (12, 24, 36), 1.6)):
            theirs = ASPP(2048, list(rates)).eval()
            ours = msv_pt.ASPP(2048, 256, rates).eval()
            ours.load_state_dict(theirs.state_dict())
            x = torch.rand(1, 2048, side, side)
            name = f"ASPP, 2048 to 256, {side} × {side}, rates {', '.join(map(str, rates))}"
            adds = 256 * (2048 * (side**2 + taps_inside(side, rates)) + 5 * 256 * side**2)
            peer = partial(theirs, x)
            yield Case(name, "PyTorch", "torchvision", partial(ours, x), peer, target, adds)
            layer = msv_tf.ASPP(256, rates)
            layer.build((None, None, None, 2048))
            port(ours, layer)
            call, pixels = tf.function(layer), tf.constant(x.permute(0, 2, 3, 1).numpy())
            yield Case(name, "TensorFlow", "torchvision", lambda f=call, x=pixels: f(x).numpy(), peer, target, adds)

        class Given(nn.Module):
            """A backbone that returns what it is given."""

            channels, reductions = [2048], [8]

            def forward(self, x):
                return [x]

        network = msv_pt.PSPNet(Given(), classes=19).eval()
        pooling, conv, norm = network.classifier[:3]
        x = torch.rand(1, 2048, 60, 60)

        def written_out():  # each branch enlarged, all concatenated, one 3 × 3 convolution over 4096 channels
            branches = [
                F.interpolate(F.relu(n(c(F.adaptive_avg_pool2d(x, b)))), (60, 60), mode="bilinear", align_corners=False)
                for b, c, n in zip(pooling.bins, pooling.convs, pooling.norms)
            ]
            return network.classifier[3:](norm(conv(torch.cat([x, *branches], 1))))

        cells = sum(b**2 for b in pooling.bins)
        adds = 512 * (2048 * taps_inside(60, (1,)) + cells * (2048 + 9 * 512) + 60**2 * 19)
        yield Case(
            "PSPNet's head, 2048 channels, 60 × 60", "PyTorch", "written out as in mmsegmentation",
            lambda: network(x), written_out, 1.7, adds,
        )  # fmt: skip

    sizes = [(13, 13), (7, 9), (20, 31), (33, 33), (8, 8), (16, 24), (27, 14), (40, 40)]
    maps = [tf.random.uniform((4, *size, 256)) for size in sizes]
    pool = msv_tf.SpatialPyramidPooling(bins=(4, 2))  # one bin stops Keras
    bins = [keras.layers.AdaptiveMaxPooling2D(b) for b in pool.bins]

    def keras_spp(x):
        return tf.concat([tf.reshape(layer(x), (x.shape[0], -1)) for layer in bins], 1)

    graphs = tf.function(pool, reduce_retracing=True), tf.function(keras_spp)  # Keras' needs one for each size
    for how, (ours, theirs) in {"eager": (pool, keras_spp), "tf.function": graphs}.items():
        yield Case(
            f"SPP, maps of eight sizes in a row, {how}", "TensorFlow", "Keras AdaptiveMaxPooling2D",
            lambda f=ours: [f(x).numpy() for x in maps], lambda f=theirs: [f(x).numpy() for x in maps], 1.0,
            bytes=4 * sum(int(np.prod(x.shape)) for x in maps),
        )  # fmt: skip


if __name__ == "__main__":
    run(cases)
