"""Training, evaluation and the loss of both, in a few lines that can be read (used from chapter 3 on)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from msvision import checks, geometry, training

OPTIMISERS = ("adamw", "sgd")


def fit(
    model: keras.layers.Layer,
    data: training.Dataset,
    *,
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int = 16,
    loss: Callable | None = None,
    optimiser: str | keras.optimizers.Optimizer = "adamw",
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
        A Keras layer or model from images (N, H, W, C), or lists of feature maps, to what ``loss`` takes.
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
        "sgd" has a momentum of 0.9. An optimiser of your own brings its learning rate and weight decay along.
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
        Losses, metrics and time; ``history.plot()`` draws them.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these, or the checkpoint is that of another run.
    FloatingPointError
        If the loss is no longer a finite number; the message names the step.

    Notes
    -----
    This is Keras' own ``fit``. Within the scope of a ``tf.distribute.MultiWorkerMirroredStrategy`` or ``MirroredStrategy``,
    in which the model was also made, each process or device takes its share of every batch, and gradients are averaged.
    That is the same as one process with the whole batch but for BatchNorm: each process normalises with the statistics of
    its share, and the running ones are averaged.

    From the same parameters, losses are those of ``msvision.torch.fit`` up to rounding: epsilon, momentum and weight decay
    are defined here as in PyTorch. AdamW magnifies rounding where a gradient is almost zero, and ReLU where a value is:
    over 20 steps, losses of a small network agree to 0.001, those of a deep one to about 0.02. Dropout draws other numbers.

    Examples
    --------
    >>> images, labels = np.random.default_rng(0).random((32, 8, 8, 1), dtype=np.float32), np.arange(32) % 2
    >>> images[labels == 1] += 1  # what there is to learn
    >>> keras.utils.set_random_seed(0)
    >>> layers = keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)
    >>> model = keras.Sequential(layers)
    >>> history = fit(model, (images, labels), steps=40, batch_size=8, learning_rate=0.05)
    >>> len(history.losses), history.losses[-1] < 0.5, (predict(model, images) == labels).all().item()
    (40, True, True)
    """
    plan = training.Plan(data, steps, epochs, batch_size, schedule, warmup, augment, every, seed)
    checks.check_choice("precision", precision, training.PRECISIONS)
    name = optimiser if isinstance(optimiser, str) else type(optimiser).__name__
    settings = plan.settings(
        optimiser=name, learning_rate=learning_rate, weight_decay=weight_decay, clip=clip, precision=precision
    )
    history, strategy = training.History(settings), tf.distribute.get_strategy()
    plan.check_world(strategy.num_replicas_in_sync)
    optimiser = _optimiser(optimiser, learning_rate, weight_decay, clip)
    highest = float(optimiser.learning_rate.numpy())  # which a strategy mirrors
    trainer = Trainer(model, loss or cross_entropy)
    trainer(_tensors(training.images_of(data, [0])))  # which builds the model
    with _sixteen_bits(model, optimiser, precision) as optimiser:
        optimiser.build(trainer.trainable_variables)
        trainer.compile(optimiser, jit_compile=False)
        if checkpoint is not None and os.path.exists(checkpoint):
            _restore(checkpoint, trainer, history)
        start = plan.steps if history.stalled(patience) else len(history.losses)
        with training.progress(history, plan.steps, progress and _is_chief(strategy)) as bar:
            books = Books(plan, history, bar, highest, evaluate, patience, checkpoint if _is_chief(strategy) else None)
            if strategy.num_replicas_in_sync > 1:
                _fit_replicas(trainer, plan, start, books, strategy)
            elif start < plan.steps:
                batches = _dataset(plan, start)
                trainer.fit(batches, steps_per_epoch=plan.steps - start, callbacks=[books], shuffle=False, verbose=0)
    return history


def predict(model: keras.layers.Layer, images: training.Dataset, batch_size: int = 16) -> np.ndarray:
    """The most likely class of each image, or of each of its pixels.

    Parameters
    ----------
    model
        A Keras layer or model from images (N, H, W, C), or lists of feature maps, to logits (N, classes) or
        (N, H, W, classes), or a tuple of which they are the first.
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
    >>> model = keras.layers.Conv2D(5, 1)
    >>> predict(model, np.zeros((4, 9, 7, 3), "float32")).shape
    (4, 9, 7)
    """
    geometry.check_count("batch_size", batch_size)
    count, classes = training.count_of(images), []
    for start in range(0, count, batch_size):
        batch = training.images_of(images, np.arange(start, min(start + batch_size, count)))
        logits = model(_tensors(batch))
        logits = logits[0] if isinstance(logits, (tuple, list)) else logits  # and not the auxiliary ones
        classes.append(tf.argmax(logits, -1).numpy())
    return np.concatenate(classes)


def cross_entropy(
    outputs: tf.Tensor,
    targets: tf.Tensor,
    ignore: int | None = None,
    class_weights: tuple[float, ...] | None = None,
    auxiliary_weight: float = 0.4,
) -> tf.Tensor:
    """Mean over all images, or all pixels, of minus the logarithm of the right class's probability.

    Parameters
    ----------
    outputs : Tensor, shape (N, classes) or (N, H, W, classes)
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
        If the targets are not whole numbers, or not of the outputs' shape without classes.
    tf.errors.InvalidArgumentError
        If one is not among the classes.

    Examples
    --------
    >>> round(float(cross_entropy(tf.zeros((1, 8, 8, 4)), tf.ones((1, 8, 8), tf.int64))), 4)
    1.3863
    """
    if isinstance(outputs, (tuple, list)):
        losses = [cross_entropy(logits, targets, ignore, class_weights) for logits in outputs]
        return losses[0] + auxiliary_weight * sum(losses[1:])
    targets, classes = tf.convert_to_tensor(targets), outputs.shape[-1]
    checks.check_targets(
        tuple(outputs.shape), tuple(targets.shape), targets.dtype.is_integer, targets.dtype.name, "NHWC"
    )
    counted = tf.ones_like(targets, bool) if ignore is None else tf.not_equal(targets, ignore)
    labels = tf.where(counted, targets, tf.zeros_like(targets))
    wrong = f"targets must be at least 0 and less than {classes}, the number of classes, or ignore={ignore}"
    bounds = tf.zeros((), labels.dtype), tf.constant(classes, labels.dtype)
    with tf.control_dependencies(
        [
            tf.debugging.assert_greater_equal(labels, bounds[0], wrong),
            tf.debugging.assert_less(labels, bounds[1], wrong),
        ]
    ):
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs)
    weights = tf.cast(counted, each.dtype)
    if class_weights is not None:
        weights *= tf.gather(tf.constant(class_weights, each.dtype), labels)
    return tf.math.divide_no_nan(tf.reduce_sum(weights * each), tf.reduce_sum(weights))


# -- the steps -------------------------------------------------------------------------------------------------------


class Trainer(keras.Model):
    """A model with its loss, as Keras' ``fit`` wants it."""

    def __init__(self, layer: keras.layers.Layer, loss: Callable):
        super().__init__()
        self.layer, self.loss_of = layer, loss

    def call(self, images):
        return self.layer(images)

    def train_step(self, data):
        images, targets = data
        with tf.GradientTape() as tape:
            outputs = tf.nest.map_structure(lambda y: tf.cast(y, tf.float32), self(images, training=True))
            loss = self.loss_of(outputs, targets) + sum(self.losses)
            scaled = self.optimizer.scale_loss(loss)  # for 16 bits
        gradients = tape.gradient(scaled, [variable.value for variable in self.trainable_variables])
        replica = tf.distribute.get_replica_context()
        if replica.num_replicas_in_sync > 1:
            gradients, loss = replica.all_reduce("mean", (gradients, loss))
        self.optimizer.apply(gradients, self.trainable_variables)
        if replica.num_replicas_in_sync > 1:  # the running statistics of BatchNorm
            for variable in self.layer.non_trainable_variables:
                if variable.dtype.startswith("float"):
                    variable.assign(replica.all_reduce("mean", tf.identity(variable.value)))
        return {"loss": loss}


class Books(keras.callbacks.Callback):
    """What happens before and after each step but the step itself."""

    def __init__(self, plan, history, bar, highest, evaluate, patience, checkpoint):
        super().__init__()
        self.plan, self.history, self.bar, self.highest = plan, history, bar, highest
        self.evaluate, self.patience, self.checkpoint = evaluate, patience, checkpoint

    def on_train_batch_begin(self, batch, logs=None):
        step = len(self.history.losses)
        self.model.optimizer.learning_rate = self.highest * self.plan.factor(step)
        seeds = [variable for variable in self.model.layer.variables if variable.name == "seed_generator_state"]
        for number, variable in enumerate(seeds):
            variable.assign((self.plan.network_seed(step), number))

    def on_train_batch_end(self, batch, logs=None):
        self.history.record(float(logs["loss"]))  # stops here if it is not a number
        training.advance(self.bar, self.history)
        if self.plan.pauses_after(len(self.history.losses) - 1):
            self.history.evaluate(self.evaluate, self.model.layer)
            if self.checkpoint is not None:
                _save(self.checkpoint, self.model, self.history)
            self.model.stop_training = self.history.stalled(self.patience)

    def on_train_end(self, logs=None):
        self.model.optimizer.learning_rate = self.highest  # an optimiser may be used again


def _fit_replicas(trainer, plan, start, books, strategy) -> None:
    """The same on several devices or in several processes, where Keras' own ``fit`` does not go (Keras 3.15)."""

    @tf.function(reduce_retracing=True)
    def step(share):
        return strategy.experimental_local_results(strategy.run(trainer.train_step, args=(share,))["loss"])[0]

    def share(context):
        return _tensors(plan.batch(number, context.replica_id_in_sync_group, context.num_replicas_in_sync))

    books.set_model(trainer)
    trainer.stop_training = False
    for number in range(start, plan.steps):
        books.on_train_batch_begin(number)
        loss = step(strategy.experimental_distribute_values_from_function(share))
        books.on_train_batch_end(number, {"loss": loss})
        if trainer.stop_training:
            break
    books.on_train_end()


def _is_chief(strategy) -> bool:
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type is None:
        return True
    chief = "chief" if "chief" in resolver.cluster_spec().jobs else "worker"
    return (resolver.task_type, resolver.task_id) == (chief, 0)


class AdamW(keras.optimizers.AdamW):
    """Epsilon as in PyTorch and in the paper: added after the bias correction (Kingma and Ba, 2015, algorithm 1)."""

    def update_step(self, gradient, variable, learning_rate):
        index, step = self._get_variable_index(variable), tf.cast(self.iterations + 1, variable.dtype)
        mean, square = self._momentums[index], self._velocities[index]
        self.assign_add(mean, (1 - self.beta_1) * (gradient - mean))
        self.assign_add(square, (1 - self.beta_2) * (gradient * gradient - square))
        mean, square = mean / (1 - self.beta_1**step), square / (1 - self.beta_2**step)
        self.assign_sub(variable, learning_rate * mean / (tf.sqrt(square) + self.epsilon))


class SGD(keras.optimizers.SGD):
    """Momentum and weight decay as PyTorch defines them: both before the learning rate."""

    def __init__(self, learning_rate: float, momentum: float, decay: float):
        super().__init__(learning_rate, momentum)
        self.decay = decay

    def update_step(self, gradient, variable, learning_rate):
        momentum = self.momentums[self._get_variable_index(variable)]
        self.assign(momentum, self.momentum * momentum + gradient + self.decay * variable)
        self.assign_sub(variable, learning_rate * momentum)


def _optimiser(optimiser, learning_rate: float, weight_decay: float, clip: float | None) -> keras.optimizers.Optimizer:
    if not isinstance(optimiser, keras.optimizers.Optimizer):
        checks.check_choice("optimiser", optimiser, OPTIMISERS)
        if optimiser == "adamw":
            optimiser = AdamW(learning_rate, weight_decay, epsilon=1e-8)
        else:
            optimiser = SGD(learning_rate, 0.9, weight_decay)
    if clip is not None:
        optimiser.global_clipnorm = clip
    return optimiser


@contextmanager
def _sixteen_bits(model: keras.layers.Layer, optimiser, precision: str):
    """Compute with 16 bits for a while, if so asked and there is a GPU."""
    policy = _mixed_policy() if precision == "mixed" else "float32"
    if policy == "float32":
        yield optimiser
        return
    layers = [model, *model._flatten_layers()]
    before = [layer.dtype_policy for layer in layers]
    try:
        for layer in layers:
            layer.dtype_policy = policy
        yield keras.optimizers.LossScaleOptimizer(optimiser) if policy == "mixed_float16" else optimiser
    finally:
        for layer, old in zip(layers, before):
            layer.dtype_policy = old


def _mixed_policy() -> str:
    devices = tf.config.list_physical_devices("GPU")
    if not devices:
        return "float32"
    capability = tf.config.experimental.get_device_details(devices[0]).get("compute_capability", (0, 0))
    return "mixed_bfloat16" if capability >= (8, 0) else "mixed_float16"


def _dataset(plan: training.Plan, start: int) -> tf.data.Dataset:
    signature = tf.nest.map_structure(tf.TensorSpec.from_tensor, _tensors(plan.batch(start)))
    return tf.data.Dataset.from_generator(lambda: map(_arrays, plan.batches(start)), output_signature=signature)


def _arrays(batch):
    """Arrays, in lists or not, as float32 or int64; tuples for lists, which TensorFlow would make one tensor of."""
    if isinstance(batch, (list, tuple)):
        return tuple(_arrays(part) for part in batch)
    return batch.astype(np.float32 if np.issubdtype(batch.dtype, np.floating) else np.int64, copy=False)


def _tensors(batch):
    return tf.nest.map_structure(tf.constant, _arrays(batch))


def _save(path, trainer: Trainer, history: training.History) -> None:
    variables = trainer.layer.variables + trainer.optimizer.variables
    arrays = {str(number): variable.numpy() for number, variable in enumerate(variables)}
    with training.written_whole(path) as place, open(place, "wb") as file:
        np.savez(file, history=json.dumps(history.state()), **arrays)


def _restore(path, trainer: Trainer, history: training.History) -> None:
    with np.load(path) as saved:
        state = json.loads(str(saved["history"]))
        training.check_settings(path, state["settings"], history.settings)
        for number, variable in enumerate(trainer.layer.variables + trainer.optimizer.variables):
            variable.assign(saved[str(number)].view(variable.numpy().dtype))
    history.go_on(state)
