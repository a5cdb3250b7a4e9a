"""The segmentation networks' entries: their parts have references, and the whole agrees with itself."""

from battery import Operator, Wrong, wrong_counts

from msvision import tensorflow as msv_tensorflow
from msvision import torch as msv_torch

WIDTHS = (8, 6, 8)
BACKBONE = (
    Wrong("backbone", TypeError, "backbone must have attributes channels and reductions", {"backbone": "resnet50"}),
    *wrong_counts("classes"),
)
DROPOUT = (Wrong("dropout", ValueError, "dropout must be at least 0 and less than 1, got 1", {"dropout": 1}),)
RATES = (Wrong("rates", TypeError, "rates must be a tuple of integers, got 6", {"rates": 6}),)


def network(name, wrong=(), variant="", seed=0, **arguments):
    return Operator(
        name,
        None,
        {"classes": 5, **arguments},
        layer=True,
        image=False,
        torch_arguments=lambda channels: {"backbone": msv_torch.SimpleBackbone(channels, WIDTHS)},
        tensorflow_arguments=lambda dtype: {"backbone": msv_tensorflow.SimpleBackbone(WIDTHS, dtype=dtype)},
        sizes=((1, 1), (5, 8), (65, 47)),
        channels=(3,),
        idle=24,  # where one pixel goes through ReLUs of few channels, or BatchNorm takes away what is constant
        compiler="eager",
        fast_gradcheck=True,
        wrong=(*BACKBONE, *wrong),
        variant=variant,
        seed=seed,
    )


OPERATORS = [
    network("PSPNet", (*wrong_counts("out_channels"), *DROPOUT), seed=3, out_channels=8, dropout=0.0),
    network("PSPNet", variant="auxiliary", out_channels=8, dropout=0.0, auxiliary=True),
    network("DeepLabV3", (*wrong_counts("out_channels"), *DROPOUT, *RATES), out_channels=8, dropout=0.0),
    network(
        "DeepLabV3Plus", (*wrong_counts("low_level_channels"), *DROPOUT, *RATES), seed=1, out_channels=8, dropout=0.0
    ),
    network("FPNSegmenter", wrong_counts("branch_channels"), out_channels=8, branch_channels=8),
]
