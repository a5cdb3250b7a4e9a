"""Multi-scale operators for PyTorch and TensorFlow: the same names, the same numbers.

Choose a framework once; the lines after that read the same::

    from msvision import torch as msv        # tensors are (N, C, H, W)
    from msvision import tensorflow as msv   # tensors are (N, H, W, C)

``import msvision`` by itself loads neither framework.
"""

__version__ = "0.1.0"
