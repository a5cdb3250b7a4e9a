"""Training, evaluation and the loss of both, in a few lines that can be read (used from chapter 3 on)."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from msvision import checks, geometry, training

OPTIMISERS = ("adamw", "sgd")


def fit(
    model: nn.Module,
    data: training.Dataset,
    *,
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int = 16,
    loss: Callable | None = None,
    optimiser: str | torch.optim.Optimizer = "adamw",
    learning_rate: float = 3e-3,
    weight_decay: float = 1e-4,
    schedule: str = "cosine",
    warmup: float = 0.1,
    clip: float | None = None,
    precision: str = "float32",
    augment: Callable | None = None,
    evaluate: Callable | None = None,
    every: int | None = None,
    patience: int | None = None,
    checkpoint: str | os.PathLike | None = None,
    seed: int = 0,
    progress: bool = True,
) -> training.History:
    """Train a model, in place, and say how it went.

    The same seed gives the same parameters, to the last bit on a CPU, also where the run was killed and started again
    with the same checkpoint.

    Parameters
    ----------
    model
        A module from images (N, C, H, W), or lists of feature maps, to what ``loss`` takes.
    data
        A pair of NumPy arrays (images, targets), or an object with a length whose items are pairs (image, target). Images
        are floating-point and of shape (H, W, C) whatever the framework; lists of feature maps are taken as well.
    steps, epochs
        How many batches to train on, or how many times on all data: one of the two.
    batch_size
        Samples of a batch. What is left over at the end of an epoch takes no part in it.
    loss
        A function (outputs, targets) to a number; by default :func:`cross_entropy`.
    optimiser : {"adamw", "sgd"} or Optimizer
        "sgd" has a momentum of 0.9. An optimiser of your own brings its learning rates and weight decay along.
    learning_rate, weight_decay
        The highest learning rate, and what pulls all parameters to zero, as PyTorch defines it.
    schedule : {"cosine", "polynomial", "constant"}
        How the learning rate falls after the warm-up, to zero at the end; "polynomial" has the power 0.9.
    warmup
        Share of the steps, at the start, over which the learning rate rises linearly.
    clip
        Largest norm of all gradients together; larger ones are scaled down to it.
    precision : {"float32", "mixed"}
        "mixed" computes with 16 bits on a GPU, and changes nothing on a CPU.
    augment
        A function (image, target, random generator) in NumPy that returns both, changed, such as
        :func:`msvision.data.augment`.
    evaluate
        A function of the model to a number, or to a dictionary of numbers by name, where more is better.
    every
        Steps between evaluations, each followed by a checkpoint; by default an epoch. The last step is always evaluated.
    patience
        Stop when the first number of ``evaluate`` has not risen in so many evaluations.
    checkpoint
        A file to write to, and to go on from if it exists.
    seed
        Of the order of samples, ``augment`` and dropout. The parameters to begin with are the model's own.
    progress
        Whether to show a progress bar (in notebooks and terminals).

    Returns
    -------
    History
        Losses, metrics and time; ``history.plot()`` draws them. The model is left in evaluation mode, on the device where
        it was.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these, or the checkpoint is that of another run.
    FloatingPointError
        If the loss is no longer a finite number; the message names the step.

    Notes
    -----
    Under ``torchrun`` each process takes its share of every batch, and gradients are averaged (by Lightning Fabric). That
    is the same as one process with the whole batch but for BatchNorm: each process normalises with the statistics of its
    share, and the running ones are averaged. The optimisers
    are PyTorch's own; ``msvision.tensorflow.fit`` says how close it comes.

    Examples
    --------
    >>> images, labels = np.random.default_rng(0).random((32, 8, 8, 1), dtype=np.float32), np.arange(32) % 2
    >>> images[labels == 1] += 1  # what there is to learn
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    >>> history = fit(model, (images, labels), steps=40, batch_size=8, learning_rate=0.05)
    >>> len(history.losses), history.losses[-1] < 0.5, (predict(model, images) == labels).all().item()
    (40, True, True)
    """
    plan = training.Plan(data, steps, epochs, batch_size, schedule, warmup, augment, every, seed)
    name = optimiser if isinstance(optimiser, str) else type(optimiser).__name__
    settings = plan.settings(
        optimiser=name, learning_rate=learning_rate, weight_decay=weight_decay, clip=clip, precision=precision
    )
    history, loss = training.History(settings), loss or cross_entropy
    optimiser = _optimiser(optimiser, model, learning_rate, weight_decay)
    fabric = _fabric(checks.check_choice("precision", precision, training.PRECISIONS))
    plan.check_world(fabric.world_size)
    home = _device_of(model)
    network, wrapped = fabric.setup(model, optimiser)  # on its device, one of several processes, in its precision
    if checkpoint is not None and os.path.exists(checkpoint):
        _restore(checkpoint, model, optimiser, history, fabric)

    start = plan.steps if history.stalled(patience) else len(history.losses)
    batches = plan.batches(start, fabric.global_rank, fabric.world_size)
    with (
        _random_state_kept(fabric.device),
        training.progress(history, plan.steps, progress and not fabric.global_rank) as bar,
    ):
        network.train()
        for step, (images, targets) in enumerate(batches, start):
            _seed(plan.network_seed(step), fabric.device)
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"] * plan.factor(step)
            value = loss(network(_images(images, fabric.device)), _tensors(targets, fabric.device))
            history.record(fabric.all_reduce(value.detach()).item())  # stops here if it is not a number
            wrapped.zero_grad()
            fabric.backward(value)
            if clip is not None:
                fabric.clip_gradients(network, wrapped, max_norm=clip)
            wrapped.step()
            _average_statistics(model, fabric)
            training.advance(bar, history)
            if plan.pauses_after(step):
                network.eval()
                history.evaluate(evaluate, model)
                network.train()
                if checkpoint is not None and fabric.is_global_zero:
                    _save(checkpoint, model, optimiser, history, fabric)
                if history.stalled(patience):
                    break
    model.to(home).eval()
    return history


def predict(model: nn.Module, images: training.Dataset, batch_size: int = 16) -> np.ndarray:
    """The most likely class of each image, or of each of its pixels.

    Parameters
    ----------
    model
        A module from images (N, C, H, W), or lists of feature maps, to logits (N, classes) or (N, classes, H, W), or a
        tuple of which they are the first. It is left in evaluation mode, on the device where it was; from a CPU it goes to
        a GPU and back, where there is one.
    images
        A NumPy array (N, H, W, C), floating-point; or what :func:`fit` takes as data, of which only the images are used.
    batch_size
        Images that the model is given at once.

    Returns
    -------
    ndarray, shape (N,) or (N, H, W)
        Whole numbers, from 0 to classes - 1.

    Examples
    --------
    >>> model = nn.Conv2d(3, 5, 1)
    >>> predict(model, np.zeros((4, 9, 7, 3), "float32")).shape
    (4, 9, 7)
    """
    geometry.check_count("batch_size", batch_size)
    home = _device_of(model)
    device = torch.device("cuda") if home.type == "cpu" and torch.cuda.is_available() else home
    count, classes = training.count_of(images), []
    model.to(device).eval()
    try:
        with torch.inference_mode():
            for start in range(0, count, batch_size):
                batch = training.images_of(images, np.arange(start, min(start + batch_size, count)))
                logits = model(_images(batch, device))
                logits = logits[0] if isinstance(logits, (tuple, list)) else logits  # and not the auxiliary ones
                classes.append(logits.argmax(1).cpu().numpy())
    finally:
        model.to(home)
    return np.concatenate(classes)


def cross_entropy(
    outputs: Tensor,
    targets: Tensor,
    ignore: int | None = None,
    class_weights: tuple[float, ...] | None = None,
    auxiliary_weight: float = 0.4,
) -> Tensor:
    """Mean over all images, or all pixels, of minus the logarithm of the right class's probability.

    Parameters
    ----------
    outputs : Tensor, shape (N, classes) or (N, classes, H, W)
        Logits; or a tuple of them, of which those after the first are auxiliary outputs.
    targets : Tensor, shape (N,) or (N, H, W)
        The right classes, whole numbers.
    ignore
        A label that does not count. Where none counts, the loss is zero.
    class_weights
        How much each class counts; the mean is weighted by them.
    auxiliary_weight
        How much the loss of each auxiliary output counts (0.4: Zhao et al., 2017, PSPNet, section 3.3).

    Returns
    -------
    Tensor, shape ()
        Zero or more.

    Raises
    ------
    TypeError, ValueError
        If the targets are not whole numbers, not of the outputs' shape without classes, or not among the classes.

    Examples
    --------
    >>> round(cross_entropy(torch.zeros(1, 4, 8, 8), torch.ones(1, 8, 8, dtype=torch.long)).item(), 4)
    1.3863
    """
    if isinstance(outputs, (tuple, list)):
        losses = [cross_entropy(logits, targets, ignore, class_weights) for logits in outputs]
        return losses[0] + auxiliary_weight * sum(losses[1:])
    classes = outputs.shape[1]
    checks.check_targets(
        tuple(outputs.shape), tuple(targets.shape), not targets.is_floating_point(), targets.dtype, "NCHW"
    )
    ignored = -100 if ignore is None else ignore
    counted = targets[targets != ignored]
    if counted.numel():
        checks.check_target_range(int(counted.min()), int(counted.max()), classes, ignore)
    weights = (
        None if class_weights is None else torch.as_tensor(class_weights, dtype=outputs.dtype, device=outputs.device)
    )
    total = F.cross_entropy(outputs, targets, weights, ignore_index=ignored, reduction="sum")
    if weights is None:
        return total / max(counted.numel(), 1)
    return total / weights[counted].sum().clamp(min=torch.finfo(weights.dtype).tiny)


# -- the steps -------------------------------------------------------------------------------------------------------


def _optimiser(optimiser, model: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
    if not isinstance(optimiser, torch.optim.Optimizer):
        checks.check_choice("optimiser", optimiser, OPTIMISERS)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        if optimiser == "adamw":
            optimiser = torch.optim.AdamW(trained, learning_rate, weight_decay=weight_decay)
        else:
            optimiser = torch.optim.SGD(trained, learning_rate, momentum=0.9, weight_decay=weight_decay)
    for group in optimiser.param_groups:
        group.setdefault("initial_lr", group["lr"])
    return optimiser


def _fabric(precision: str):
    try:
        from lightning_fabric import Fabric
    except ModuleNotFoundError as error:
        if error.name != "lightning_fabric":
            raise
        raise ModuleNotFoundError(
            'fit needs lightning-fabric: pip install "msvision[torch]"', name=error.name
        ) from None
    world, local = (int(os.environ.get(name, 1)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))  # torchrun's
    parallel = {"strategy": "ddp", "devices": local, "num_nodes": world // local} if world > 1 else {"devices": 1}
    device = "cuda" if torch.cuda.is_available() else "cpu"  # Apple's GPU lacks some of what the operators call
    fabric = Fabric(accelerator=device, precision=_sixteen_bits() if precision == "mixed" else "32-true", **parallel)
    if world > 1:
        fabric.launch()
    return fabric


def _average_statistics(model: nn.Module, fabric) -> None:
    """The running statistics of BatchNorm, where several processes each have their own."""
    if fabric.world_size > 1:
        for buffer in model.buffers():
            if buffer.is_floating_point():
                buffer.copy_(fabric.all_reduce(buffer, reduce_op="mean"))


def _seed(seed: int, device: torch.device) -> None:
    """As ``torch.manual_seed``, which where there is no GPU keeps a traceback of every call for the day when there is."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def _device_of(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def _sixteen_bits() -> str:
    if not torch.cuda.is_available():
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"


def _random_state_kept(device: torch.device):
    return torch.random.fork_rng([device] if device.type == "cuda" else [])


def _tensors(arrays, device: torch.device):
    """An array, or a list of them, as tensors: float32 or int64."""
    if isinstance(arrays, (list, tuple)):
        return [_tensors(array, device) for array in arrays]
    kind = np.float32 if np.issubdtype(arrays.dtype, np.floating) else np.int64
    return torch.from_numpy(np.ascontiguousarray(arrays, kind)).to(device)


def _images(arrays, device: torch.device):
    """The same for images, (N, H, W, C) to (N, C, H, W)."""
    if isinstance(arrays, (list, tuple)):
        return [_images(array, device) for array in arrays]
    return _tensors(np.moveaxis(arrays, -1, 1), device)


def _save(path, model: nn.Module, optimiser: torch.optim.Optimizer, history: training.History, fabric) -> None:
    states = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "history": history.state()}
    with training.written_whole(path) as place:
        torch.save(states | {"precision": fabric.strategy.precision.state_dict()}, place)


def _restore(path, model: nn.Module, optimiser: torch.optim.Optimizer, history: training.History, fabric) -> None:
    states = torch.load(path, map_location=fabric.device, weights_only=True)
    training.check_settings(path, states["history"]["settings"], history.settings)
    model.load_state_dict(states["model"])
    optimiser.load_state_dict(states["optimiser"])
    fabric.strategy.precision.load_state_dict(states["precision"])
    history.go_on(states["history"])
