"""Entries of the battery for ``bifpn``."""

import references_bifpn as references
from battery import Operator, Wrong, wrong_counts
from operators_fpn import FEATURES, INTERPOLATION, channel_list, feature_levels, levels_changed

TWO_LEVELS = (
    Wrong(
        "one-level",
        ValueError,
        r"in_channels must hold the channels of at least 2 levels, got \[8\]",
        {"in_channels": [8]},
        frameworks=("torch",),
    ),
    Wrong(
        "one-level",
        ValueError,
        r"in_channels must hold the channels of at least 2 levels, got \[3\]",
        inputs=levels_changed(lambda x: x[:1]),
        frameworks=("tensorflow",),
    ),
)
LISTS = tuple(wrong for wrong in FEATURES if wrong.id != "in_channels-empty") + TWO_LEVELS


def entry(variant="", count=3, wrong=(), **arguments):
    return Operator(
        "BiFPN",
        references.bifpn,
        {"out_channels": 4, **arguments},
        inputs=feature_levels(count),
        torch_arguments=channel_list(count),
        first=r"levels\[0\]",
        layer=True,
        image=False,
        variant=variant,
        wrong=wrong,
        compiler="eager" if variant else "aot_eager",
        fast_gradcheck=True,
    )


BIFPN = [
    entry(
        wrong=(
            *LISTS,
            *INTERPOLATION,
            *wrong_counts("layers"),
            Wrong(
                "sizes",
                ValueError,
                r"levels\[1\] must be 5 × 8 pixels, since levels\[0\] is 9 × 16, got 5 × 7",
                inputs=levels_changed(lambda x: [x[0], x[1][:, :, :7], *x[2:]]),
            ),
        ),
    ),
    entry("two-levels-bilinear", 2, layers=2, interpolation="bilinear"),
]
