"""FPN and DeepLab v3 against torchvision: in use, and a step of training."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from measure import Case, run, taps_inside


def cases() -> Iterator[Case]:
    import peers
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from msvision import torch as msv
    from msvision.port import port

    peers.torchvision()
    from torchvision.models.segmentation import deeplabv3_resnet50
    from torchvision.ops import FeaturePyramidNetwork

    torch.manual_seed(0)
    widths = [256, 512, 1024, 2048]
    levels = [torch.rand(1, width, 512 // r, 512 // r) for width, r in zip(widths, (4, 8, 16, 32))]
    named = OrderedDict((str(number), level) for number, level in enumerate(levels))
    theirs = FeaturePyramidNetwork(widths, 256).eval()
    ours = msv.FPN(widths, 256).eval()
    port(theirs.state_dict(), ours)
    last = [level.to(memory_format=torch.channels_last) for level in levels]  # as our backbones hand them on
    work = sum(level[0, 0].numel() * 256 * (width + 9 * 256) for level, width in zip(levels, widths))
    with torch.inference_mode():
        yield Case("FPN, ResNet-50's widths, 512 × 512", "PyTorch", "torchvision",
                   lambda: ours(last), lambda: theirs(named), 1.2, work)  # fmt: skip

    theirs = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=21)
    network = msv.DeepLabV3(msv.resnet50(output_stride=8), classes=21)
    port(theirs.state_dict(), network)
    theirs.eval(), network.eval()
    x = torch.rand(1, 3, 513, 513)
    pair = torch.rand(2, 3, 257, 257)

    def adds(x):  # convolutions, without the taps of ASPP that fall outside
        with FlopCounterMode(display=False) as counter:
            network(x)
        side = -(-x.shape[2] // 8)
        outside = 3 * 9 * side**2 - taps_inside(side, (12, 24, 36))
        return counter.get_total_flops() / 2 - len(x) * 2048 * 256 * outside

    with torch.inference_mode():
        yield Case("DeepLab v3, ResNet-50, 513 × 513", "PyTorch", "torchvision",
                   lambda: network(x), lambda: theirs(x)["out"], 1.5, adds(x))  # fmt: skip
    work = 3 * adds(pair)  # forwards, and the gradients of maps and of weights
    theirs.train(), network.train()

    def step(model, output):
        model.zero_grad(set_to_none=True)
        output(model(pair)).square().mean().backward()

    yield Case("DeepLab v3, ResNet-50, a step of training, 2 × 257 × 257", "PyTorch", "torchvision",
               lambda: step(network, lambda y: y), lambda: step(theirs, lambda y: y["out"]), 1.0, work)  # fmt: skip


if __name__ == "__main__":
    run(cases)
