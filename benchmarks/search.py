"""Looking for a template: coarse to fine against OpenCV's exhaustive search."""

from __future__ import annotations

from collections.abc import Iterator

from measure import Case, run


def cases() -> Iterator[Case]:
    import cv2
    import numpy as np
    import tensorflow as tf
    import torch

    from msvision import tensorflow as msv_tf
    from msvision import torch as msv_pt
    from msvision.data import samples

    photo = samples.photograph("motorcycle").mean(2, dtype=np.float32)
    image = cv2.resize(photo, (2048, 2048), interpolation=cv2.INTER_CUBIC)
    top, left = 1200, 700
    template = image[top : top + 64, left : left + 64].copy()
    x, t = torch.from_numpy(image)[None, None], torch.from_numpy(template)[None, None]
    x_tf, t_tf = tf.constant(image[None, ..., None]), tf.constant(template[None, ..., None])

    def exhaustive():
        return cv2.minMaxLoc(cv2.matchTemplate(image, template, cv2.TM_CCOEFF_NORMED))[3]

    assert exhaustive() == (left, top)
    for framework, find in (
        ("PyTorch", lambda: msv_pt.find_template(x, t)),
        ("TensorFlow", lambda: msv_tf.find_template(x_tf, t_tf)),
    ):
        assert np.allclose(find().position, [[top, left]], atol=0.5)
        yield Case(
            "template of 64 × 64 in 2048 × 2048", framework, "OpenCV matchTemplate", find, exhaustive, 10,
            bytes=image.nbytes * (1 + 1 / 4 + 1 / 16),
        )  # fmt: skip


if __name__ == "__main__":
    run(cases)
