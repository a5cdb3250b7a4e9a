"""The backbones' entries in the table of operators."""

import references_backbones as references
from battery import Operator, Wrong

STRIDES = tuple(
    Wrong(f"output_stride-{value}", ValueError, "output_stride must be 32, 16 or 8, got", {"output_stride": value})
    for value in (4, 0, 64, 8.0, "8", None)
)
DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}


def resnet(name, output_stride, **settings):
    return Operator(
        name,
        references.resnet(DEPTHS[name], bottleneck=name in ("resnet50", "resnet101")),
        {"output_stride": output_stride},
        layer=True,
        image=False,
        compiler="eager",
        fast_gradcheck=True,
        channels=(3,),
        rounding=4,  # values reach tens
        wrong=STRIDES,
        **settings,
    )


OPERATORS = [
    Operator(
        "SimpleBackbone",
        references.simple_backbone,
        {"widths": (8, 6, 8)},
        layer=True,
        image=False,
        wrong=(
            Wrong("widths-empty", ValueError, "widths must hold at least one number", {"widths": ()}),
            Wrong("widths-number", TypeError, "widths must be a tuple of integers, got 16", {"widths": 16}),
            Wrong("widths-zero", ValueError, r"widths\[1\] must be at least 1, got 0", {"widths": (16, 0)}),
            Wrong("widths-float", TypeError, r"widths\[0\] must be an integer, got 1.5", {"widths": (1.5,)}),
        ),
    ),
    resnet("resnet18", 32, sizes=((1, 1), (5, 8), (65, 47))),
    resnet("resnet18", 8, sizes=((5, 8),), variant="dilated", like="resnet18"),
    resnet("resnet34", 32, sizes=((5, 8),), like="resnet18"),
    resnet("resnet50", 16, sizes=((65, 47),), like="resnet18"),
    resnet("resnet101", 32, sizes=((5, 8),), like="resnet50"),
    Operator(
        "efficientnet_lite0",
        references.efficientnet_lite0,
        layer=True,
        image=False,
        sizes=((1, 1), (5, 8), (65, 47)),
        channels=(3,),
        compiler="eager",
        fast_gradcheck=True,
        rounding=4,
        idle=4,  # biases of linear blocks before another BatchNorm
        wrong=tuple(
            Wrong(f"weights-{value}", ValueError, "weights must be None or 'imagenet', got", {"weights": value})
            for value in ("noisy-student", True, "")
        )
        + STRIDES,
    ),
    Operator(
        "efficientnet_lite0",
        references.efficientnet_lite0,
        {"output_stride": 8},
        layer=True,
        image=False,
        sizes=((5, 8),),
        channels=(3,),
        compiler="eager",
        fast_gradcheck=True,
        rounding=4,
        idle=4,
        variant="dilated",
        like="efficientnet_lite0",
    ),
]
