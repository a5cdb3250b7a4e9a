"""All operators that the battery (``battery.py``) is run on. A new one joins by an entry in ``OPERATORS``."""

import operators_backbones
import operators_detection
import operators_resizing
import operators_segmentation
import references
from battery import (
    Operator,
    Wrong,
    image,
    mapped,
    pyramid_inputs,
    up_to,
    wrong_counts,
    wrong_scale_factors,
)
from operators_atrous import ATROUS
from operators_attention import ATTENTION
from operators_bifpn import BIFPN
from operators_fpn import FPN
from operators_fusion import FUSION
from operators_pooling import POOLING

from msvision.geometry import scaled_size


def coarser_image(scale_factor):
    return lambda size, channels, rng: [image(rng, [scaled_size(n, 1 / scale_factor) for n in size], channels)]


def two_images_and_mask(size, channels, rng):
    return [image(rng, size, channels), image(rng, size, channels), image(rng, size, 1, batch=1)]


def changed(number, change):
    """The right inputs, but for one that is changed; a change to None takes it out of the list of levels."""
    return lambda right: [change(x) if i == number else x for i, x in enumerate(right)]


LEVELS = wrong_counts("levels", too_many=99)
SHRINK = wrong_scale_factors()
LIST = (
    Wrong("empty-list", ValueError, "levels must hold at least one image, got an empty list", inputs=lambda _: [[]]),
    Wrong(
        "one-tensor", TypeError, "levels must be a list of images, finest first, got", inputs=lambda right: right[0][:1]
    ),
    Wrong(
        "levels-skipped",
        ValueError,
        r"levels\[1\] must be .* since levels\[0\] is",
        inputs=lambda x: [x[0][:1] + x[0][2:]],
    ),
    Wrong("coarsest-first", ValueError, r"levels\[1\] must be .* since levels\[0\] is", inputs=lambda x: [x[0][::-1]]),
    Wrong(
        "level-of-integers",
        TypeError,
        r"levels\[1\] must hold floating-point",
        inputs=lambda x: [mapped(uint8_after(x), x[0])],
    ),
)


def uint8_after(right):
    return lambda x: x if x is right[0][0] else x.astype("uint8")


def wrong_size(id, size, error=ValueError):
    match = {
        TypeError: "size must be a pair",
        ValueError: r"size must be (a pair|\(\d+ or \d+\) × \(\d+ or \d+\) for an image)",
    }
    return Wrong(id, error, match[error], {"size": size})


# Operators of later modules stand in files of their own, operators_<module>.py, and are joined here.
OPERATORS = [
    Operator("downsample", references.downsample, wrong=SHRINK, compiler="inductor"),
    Operator("downsample", references.downsample, {"scale_factor": 0.7}, variant="0.7"),
    Operator(
        "upsample",
        references.upsample,
        lambda size: {"size": size},
        graph_arguments={},
        inputs=coarser_image(2),
        wrong=(
            wrong_size("size-too-small", (8, 8)),
            wrong_size("size-too-large", (10, 17)),
            wrong_size("size-of-three", (9, 16, 1)),
            wrong_size("size-int", 9, TypeError),
            wrong_size("size-floats", (9.0, 16.0), TypeError),
            *wrong_scale_factors("more than 1", (0, 1, 0.5, -2)),
        ),
    ),
    Operator(
        "upsample",
        references.upsample,
        lambda size: {"size": size, "scale_factor": 1 / 0.7},
        graph_arguments={"scale_factor": 1 / 0.7},
        inputs=coarser_image(1 / 0.7),
        variant="0.7",
    ),
    Operator("gaussian_pyramid", references.gaussian_pyramid, up_to(4), wrong=LEVELS + SHRINK),
    Operator("gaussian_pyramid", references.gaussian_pyramid, up_to(3, scale_factor=0.7), variant="0.7"),
    Operator("laplacian_pyramid", references.laplacian_pyramid, up_to(3), wrong=LEVELS + SHRINK),
    Operator("laplacian_pyramid", references.laplacian_pyramid, up_to(3, scale_factor=0.7), variant="0.7"),
    Operator(
        "reconstruct",
        references.reconstruct,
        inputs=pyramid_inputs(levels=3),
        first=r"levels\[0\]",
        wrong=LIST + SHRINK,
    ),
    Operator(
        "reconstruct",
        references.reconstruct,
        {"scale_factor": 0.7},
        inputs=pyramid_inputs(0.7, levels=3),
        first=r"levels\[0\]",
        variant="0.7",
    ),
    Operator(
        "octaves",
        references.octaves,
        up_to(2, "count", scales=2),
        compiler="eager",
        wrong=wrong_counts("count", too_many=99) + wrong_counts("scales"),
    ),
    Operator("gaussian_stack", references.gaussian_stack, up_to(3), wrong=LEVELS),
    Operator(
        "blend",
        references.blend,
        up_to(3),
        inputs=two_images_and_mask,
        first="a",
        compiler="eager",
        wrong=(
            *LEVELS,
            Wrong("b-smaller", ValueError, "b must have the shape of a", inputs=changed(1, lambda b: b[:, 1:])),
            Wrong("b-channels", ValueError, "b must have the shape of a", inputs=changed(1, lambda b: b[..., :1])),
            Wrong("mask-smaller", ValueError, "mask must have shape", inputs=changed(2, lambda m: m[:, :, 1:])),
            Wrong("mask-one-row", ValueError, "mask must have shape", inputs=changed(2, lambda m: m[:, :1])),
            Wrong("mask-two-channels", ValueError, "mask must have shape", inputs=changed(2, lambda m: m.repeat(2, 3))),
            Wrong("mask-bool", TypeError, "mask must hold floating", inputs=changed(2, lambda m: m > 0.5)),
            Wrong("mask-rank", ValueError, "mask must have 4 dimensions", inputs=changed(2, lambda m: m[0])),
        ),
    ),
    Operator(
        "merge_levels",
        references.merge_levels,
        inputs=pyramid_inputs(levels=3, grow=1),
        first=r"levels\[0\]",
        wrong=LIST,
    ),
    Operator(
        "PyramidFeatures",
        references.pyramid_features,
        up_to(3, out_channels=4),
        layer=True,
        image=False,
        wrong=LEVELS + wrong_counts("out_channels") + wrong_counts("kernel_size"),
    ),
    Operator(
        "PyramidFeatures",
        references.pyramid_features,
        up_to(2, out_channels=2, kernel_size=4, shared=True, laplacian=True),
        layer=True,
        image=False,
        variant="shared-laplacian",
        compiler="eager",
    ),
    *FPN,
    *ATROUS,
    *POOLING,
    *operators_resizing.OPERATORS,
    *FUSION,
    *BIFPN,
    *ATTENTION,
    *operators_backbones.OPERATORS,
    *operators_detection.OPERATORS,
    *operators_segmentation.OPERATORS,
]

TESTED_APART: dict[str, str] = {
    "cross_entropy": "test_training.py",
    "decode_detections": "test_detection.py",
    "deep_dream": "test_search.py",
    "detection_loss": "test_detection.py",
    "detection_targets": "test_detection.py",
    "find_template": "test_search.py",
    "fit": "test_training.py",
    "non_maximum_suppression": "test_detection.py",
    "predict": "test_training.py",
    "register_translation": "test_search.py",
}
"""Public names that are not from images to images, and the file whose tests hold for both frameworks."""
