"""Entries of the battery for ``fusion``."""

import references_fusion as references
from battery import Operator, Wrong, wrong_counts
from operators_fpn import FEATURES, INTERPOLATION, channel_list, feature_levels

LEVEL_ERRORS = {"empty-list", "one-tensor", "level-of-integers", "batch"}


def wrong_sizes():
    pair, index = r"size must be a pair \(height, width\) or the index", r"size must be (at least 0|an integer), got"
    given = {
        "too-far": (3, ValueError, pair),
        "negative": (-1, ValueError, index),
        "three": ((4, 4, 4), ValueError, pair),
    }
    given |= {"float": (1.5, TypeError, index), "zero": ((0, 4), ValueError, r"size\[0\] must be at least 1, got 0")}
    return tuple(Wrong(f"size-{id}", error, match, {"size": size}) for id, (size, error, match) in given.items())


def function(variant="", wrong=(), **arguments):
    return Operator(
        "align_levels",
        references.align_levels,
        arguments,
        inputs=feature_levels(3),
        first=r"levels\[0\]",
        image=False,  # PyTorch places the pixels in single precision
        wrong=wrong,
        variant=variant,
    )


def layer(name, reference, variant="", wrong=(), **arguments):
    return Operator(
        name,
        reference,
        {"out_channels": 4, **arguments},
        inputs=feature_levels(3),
        torch_arguments=channel_list(3),
        first=r"levels\[0\]",
        layer=True,
        image=False,
        variant=variant,
        wrong=wrong,
        compiler="aot_eager" if not variant else "eager",
    )


SHARED = FEATURES + INTERPOLATION
FUSION = [
    function(wrong=(*(wrong for wrong in FEATURES if wrong.id in LEVEL_ERRORS), *INTERPOLATION, *wrong_sizes())),
    function("to-the-second", size=1),
    function("nearest-to-a-size", size=(20, 30), interpolation="nearest"),
    layer("ConcatFusion", references.concat_fusion, wrong=SHARED),
    layer("SumFusion", references.sum_fusion, wrong=SHARED),
    layer("SumFusion", references.sum_fusion, "nearest", interpolation="nearest"),
    layer(
        "WeightedFusion",
        references.weighted_fusion,
        wrong=(
            *SHARED,
            Wrong("normalisation", ValueError, "normalisation must be 'softmax' or 'fast'", {"normalisation": "l2"}),
        ),
    ),
    layer("WeightedFusion", references.weighted_fusion, "fast", normalisation="fast"),
    layer(
        "ChannelAttentionFusion",
        references.channel_attention_fusion,
        wrong=(
            *SHARED,
            *wrong_counts("reduction"),
            Wrong("kind", ValueError, "kind must be 'squeeze-excitation' or 'selective', got 'se'", {"kind": "se"}),
        ),
        reduction=2,
    ),
    layer("ChannelAttentionFusion", references.channel_attention_fusion, "selective", kind="selective"),
]
