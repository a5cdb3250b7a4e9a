"""Entries of the battery for ``fpn``."""

import references_fpn as references
from battery import Operator, Wrong, image, wrong_counts

from msvision.geometry import level_shapes


def feature_levels(count, grow=1):
    """Inputs that are one list of ``count`` levels, whatever the size, each of ``grow`` more channels than the last."""

    def inputs(size, channels, rng):
        shapes = level_shapes(size, count)
        return [[image(rng, shape, channels + grow * number) for number, shape in enumerate(shapes)]]

    return inputs


def channel_list(count, grow=1):
    return lambda channels: {"in_channels": [channels + grow * number for number in range(count)]}


def levels_changed(change):
    return lambda right: [change(right[0]), *right[1:]]


FEATURES = (
    Wrong("empty-list", ValueError, "levels must hold at least one image, got an empty list", inputs=lambda _: [[]]),
    Wrong(
        "one-tensor",
        TypeError,
        "levels must be a list of images, finest first, got",
        inputs=lambda right: right[0][:1],
    ),
    Wrong(
        "level-of-integers",
        TypeError,
        r"levels\[1\] must hold floating-point",
        inputs=levels_changed(lambda x: [x[0], x[1].astype("uint8"), *x[2:]]),
    ),
    Wrong(
        "too-few-levels",
        ValueError,
        r"levels must hold \d levels, since in_channels does, got 1",
        inputs=levels_changed(lambda x: x[:1]),
        frameworks=("torch",),
    ),
    Wrong(
        "channels",
        ValueError,
        r"levels\[1\] must have 4 channels, got 2",
        inputs=levels_changed(lambda x: [x[0], x[1][..., :2], *x[2:]]),
        frameworks=("torch",),
    ),
    Wrong(
        "batch",
        ValueError,
        r"levels\[1\] must hold 2 images, since levels\[0\] does, got 1",
        inputs=levels_changed(lambda x: [x[0], x[1][:1], *x[2:]]),
    ),
    *(
        Wrong(f"in_channels-{id}", error, match, {"in_channels": given}, frameworks=("torch",))
        for id, error, match, given in (
            ("int", TypeError, "in_channels must be a list with the channels of each level", 8),
            ("empty", ValueError, "in_channels must hold the channels of at least one level", []),
            ("zero", ValueError, r"in_channels\[1\] must be at least 1, got 0", [3, 0]),
        )
    ),
    *wrong_counts("out_channels"),
)

INTERPOLATION = (
    Wrong(
        "interpolation",
        ValueError,
        "interpolation must be 'nearest' or 'bilinear', got 'cubic'",
        {"interpolation": "cubic"},
    ),
)


def entry(variant="", count=3, wrong=(), compiler="eager", **arguments):
    return Operator(
        "FPN",
        references.fpn,
        {"out_channels": 4, **arguments},
        inputs=feature_levels(count),
        torch_arguments=channel_list(count),
        first=r"levels\[0\]",
        layer=True,
        image=False,
        variant=variant,
        wrong=wrong,
        compiler=compiler,
    )


FPN = [
    entry(
        wrong=(
            *FEATURES,
            *INTERPOLATION,
            Wrong("extra", ValueError, "extra must be None, 'pool' or 'convolutions', got 'conv'", {"extra": "conv"}),
        ),
        compiler="aot_eager",
    ),
    entry("bilinear-pool", interpolation="bilinear", extra="pool"),
    entry("not-smoothed-convolutions", 2, smoothing=False, extra="convolutions"),
]
