"""Entries of the battery for ``attention``."""

import references_attention as references
from battery import Operator, Wrong, wrong_counts
from operators_bifpn import LISTS
from operators_fpn import channel_list, feature_levels


def entry(variant="", count=3, wrong=(), idle=0, **arguments):
    return Operator(
        "CrossLevelAttention",
        references.cross_level_attention,
        {"out_channels": 4, **arguments},
        inputs=feature_levels(count),
        torch_arguments=channel_list(count),
        first=r"levels\[0\]",
        layer=True,
        image=False,
        variant=variant,
        wrong=wrong,
        idle=idle,
        fast_gradcheck=True,
        compiler="eager",  # "aot_eager" takes a minute
    )


ATTENTION = [
    entry(
        wrong=(
            *LISTS,
            *wrong_counts("heads"),
            *wrong_counts("keys"),
            Wrong("heads-3", ValueError, "heads must divide out_channels, 4, got 3", {"heads": 3}),
        ),
        idle=3,  # a single pixel has nothing to choose from: q and k of ``within``
        heads=2,
        keys=4,
    ),
    entry("two-levels-one-head", 2, idle=6, heads=1, keys=20),
]
