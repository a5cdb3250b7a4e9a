"""Other libraries, as the tests need them."""

import importlib
import re
import sys

import torch

_KEPT = []


def torchvision():
    """torchvision beside a PyTorch that it was not built for: operators of its own that it only names are declared.

    Its models need none of them. The package is otherwise as it is.
    """
    for _ in range(50):
        try:
            importlib.import_module("torchvision.models")
            return sys.modules["torchvision"]
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if missing is None:
                raise
            library = torch.library.Library("torchvision", "FRAGMENT")
            library.define(f"{missing[1]}(Tensor x) -> Tensor")
            _KEPT.append(library)
            for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
                del sys.modules[name]
    raise ImportError("torchvision cannot be imported")
