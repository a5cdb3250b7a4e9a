"""Gaussian and Laplacian pyramids against kornia, OpenCV, scikit-image and what tutorials write in TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from measure import Case, run


def cases() -> Iterator[Case]:
    import cv2
    import kornia.geometry.transform as kornia
    import numpy as np
    import tensorflow as tf
    import torch
    from skimage.transform import pyramid_laplacian

    from msvision import tensorflow as msv_tf
    from msvision import torch as msv_pt

    rng = np.random.default_rng(0)
    shapes = {(1, 3, 1024, 1024): 10, (8, 3, 512, 512): 10, (1, 64, 128, 128): 5}
    with torch.inference_mode():
        for shape, target in shapes.items():
            x = torch.from_numpy(rng.random(shape, dtype=np.float32))
            name = f"one step, {' × '.join(map(str, shape))}"
            moved = 1.25 * 4 * x.numel()
            ours, theirs = partial(msv_pt.downsample, x), partial(kornia.pyrdown, x)
            yield Case(name, "PyTorch", "kornia pyrdown", ours, theirs, target, bytes=moved)

        def opencv_pyramid(image, levels):
            for _ in range(levels - 1):
                image = cv2.pyrDown(image)

        x = torch.from_numpy(rng.random((1, 3, 1024, 1024), dtype=np.float32))
        image = x[0].permute(1, 2, 0).numpy().copy()
        compiled = torch.compile(lambda x: msv_pt.gaussian_pyramid(x, 5))
        moved = 4 * x.numel() * 5 / 3
        yield Case(
            "five levels, compiled, 1024 × 1024", "PyTorch", "kornia build_pyramid",
            lambda: compiled(x), lambda: kornia.build_pyramid(x, 5), 30, bytes=moved,
        )  # fmt: skip
        yield Case(
            "five levels, compiled, 1024 × 1024", "PyTorch", "OpenCV pyrDown",
            lambda: compiled(x), lambda: opencv_pyramid(image, 5), 1 / 3, bytes=moved,
        )  # fmt: skip

        y = torch.from_numpy(rng.random((1, 3, 512, 512), dtype=np.float32))
        picture = y[0].permute(1, 2, 0).numpy().copy()
        moved = 4 * y.numel() * (1 + 4 / 3)
        yield Case(
            "Laplacian, five levels, 512 × 512", "PyTorch", "kornia build_laplacian_pyramid",
            lambda: msv_pt.laplacian_pyramid(y, 5), lambda: kornia.build_laplacian_pyramid(y, 5), 10,
            bytes=moved,
        )  # fmt: skip
        yield Case(
            "Laplacian, five levels, 512 × 512", "PyTorch", "scikit-image pyramid_laplacian",
            lambda: msv_pt.laplacian_pyramid(y, 5),
            lambda: list(pyramid_laplacian(picture, max_layer=4, channel_axis=2)), 3, bytes=moved,
        )  # fmt: skip

    taps = np.array([1, 4, 6, 4, 1], np.float32) / 16
    kernel = tf.constant(np.tile(np.outer(taps, taps)[:, :, None, None], (1, 1, 3, 1)))

    def tutorial(x):  # as tutorials write it: mirrored borders, a depthwise kernel of 5 × 5, step 2
        x = tf.pad(x, [[0, 0], [2, 2], [2, 2], [0, 0]], "REFLECT")
        return tf.nn.depthwise_conv2d(x, kernel, [1, 2, 2, 1], "VALID")

    def resize(x):
        size = (x.shape[1] // 2, x.shape[2] // 2)
        return tf.image.resize(x, size, method="gaussian", antialias=True)

    for shape in ((1, 1024, 1024, 3), (8, 512, 512, 3)):
        x = tf.constant(rng.random(shape, dtype=np.float32))
        for how, made in (("eager", lambda f: f), ("tf.function", tf.function)):
            name, ours = f"one step, {how}, {' × '.join(map(str, shape))}", made(msv_tf.downsample)
            for peer, theirs, target in (("depthwise convolution", tutorial, 1.5), ("tf.image.resize", resize, 1.0)):
                theirs = made(theirs)
                yield Case(
                    name, "TensorFlow", peer, lambda x=x, f=ours: f(x).numpy(), lambda x=x, f=theirs: f(x).numpy(), target,
                    bytes=1.25 * 4 * np.prod(shape),
                )  # fmt: skip


if __name__ == "__main__":
    run(cases)
