"""What several layers are made of, with the same numbers as in ``msvision.tensorflow``."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that also trains where there is one value a channel (batch 1, 1 × 1 pixels).

    A single value has no variance: PyTorch raises there, and Keras returns zero. Here it is normalised with the running
    statistics, which it does not change. Epsilon is 1e-5, and a tenth of each batch enters the running statistics.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)
