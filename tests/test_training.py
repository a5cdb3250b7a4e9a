"""Training: the same in both frameworks, the same again from the same seed, and whole again after an interruption."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from measured import assert_agrees
from torch import nn

from msvision import tensorflow as msv_tensorflow
from msvision import torch as msv_torch
from msvision import training
from msvision.data import digit_scenes, digits
from msvision.port import port

FRAMEWORKS = {"torch": msv_torch, "tensorflow": msv_tensorflow}
every_framework = pytest.mark.parametrize("framework", FRAMEWORKS)
quiet = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Networks as small as these are slower on several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Net(nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.backbone = msv_torch.SimpleBackbone(1, (8, 16))
        self.dropout, self.head = nn.Dropout(dropout), nn.Linear(16, 10)

    def forward(self, x):
        return self.head(self.dropout(self.backbone(x)[-1].mean((2, 3))))


class KerasNet(keras.layers.Layer):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.backbone = msv_tensorflow.SimpleBackbone((8, 16))
        self.dropout, self.head = keras.layers.Dropout(dropout), keras.layers.Dense(10)

    def call(self, x):
        return self.head(self.dropout(tf.reduce_mean(self.backbone(x)[-1], (1, 2))))


def model_of(framework, dropout=0.0):
    torch.manual_seed(0)
    ours = Net(dropout)
    if framework == "torch":
        return ours
    theirs = KerasNet(dropout)
    theirs(tf.zeros((1, 8, 8, 1)))
    port(ours, theirs)
    return theirs


def weights(model):
    if isinstance(model, nn.Module):
        return [value.numpy().copy() for value in model.state_dict().values()]
    return [variable.numpy() for variable in model.weights]


def assert_same_bits(a, b):
    for x, y in zip(weights(a), weights(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.fixture(scope="module")
def data():
    images, labels = digits("train", size=12)[:96]
    return images, labels


# -- the plan --------------------------------------------------------------------------------------------------------


@given(count=st.integers(1, 60), batch_size=st.integers(1, 60), world=st.integers(1, 4), seed=st.integers(0, 3))
def test_every_epoch_takes_every_sample_at_most_once_and_processes_share_them(count, batch_size, world, seed):
    batch_size = min(batch_size, count)
    images, labels = np.zeros((count, 1, 1, 1), np.float32), np.arange(count)
    plan = training.Plan((images, labels), epochs=2, batch_size=batch_size, seed=seed)
    batches = [batch[1] for batch in plan.batches()]
    for epoch in (batches[: len(batches) // 2], batches[len(batches) // 2 :]):
        taken = np.concatenate(epoch)
        assert len(taken) == len(set(taken.tolist())) == count // batch_size * batch_size
    for step, whole in enumerate(batches):
        shares = [plan.batch(step, rank, world)[1] for rank in range(world)]
        assert sorted(np.concatenate(shares).tolist()) == sorted(whole.tolist())
    later = [batch[1].tolist() for batch in plan.batches(start=1)]
    assert later == [batch.tolist() for batch in batches[1:]]


def test_augmentation_depends_on_seed_epoch_and_sample_alone():
    def noisy(image, target, rng):
        return image + np.float32(rng.random()), target

    images, labels = np.zeros((6, 1, 1, 1), np.float32), np.arange(6)
    drawn = []
    for seed, batch_size in ((0, 2), (0, 3), (1, 2)):
        plan = training.Plan((images, labels), epochs=2, batch_size=batch_size, seed=seed, augment=noisy)
        of_sample = [{}, {}]
        for step, (some, which) in enumerate(plan.batches()):
            of_sample[step // plan.steps_of_epoch].update(zip(which.tolist(), some.ravel().tolist()))
        drawn.append(of_sample)
    assert drawn[0] == drawn[1] and drawn[0][0] != drawn[0][1] and drawn[0] != drawn[2]
    assert len({value for of_sample in drawn[0] for value in of_sample.values()}) == 12


def test_a_pair_of_arrays_and_a_data_set_are_the_same(data):
    class Pairs:
        def __len__(self):
            return len(data[0])

        def __getitem__(self, i):
            return data[0][i], data[1][i]

    for (a, b), (c, d) in zip(*(training.Plan(d, steps=3, batch_size=8).batches() for d in (data, Pairs()))):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)


@pytest.mark.parametrize("steps", [1, 7, 100])
def test_schedules_are_pytorchs(steps):
    for schedule, peer in (
        ("polynomial", lambda o: torch.optim.lr_scheduler.PolynomialLR(o, steps, power=0.9)),
        ("cosine", lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, steps)),
        ("constant", lambda o: torch.optim.lr_scheduler.ConstantLR(o, factor=1)),
    ):
        optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        scheduler, wanted = peer(optimiser), []
        for _ in range(steps):
            wanted.append(scheduler.get_last_lr()[0])
            optimiser.step()
            scheduler.step()
        actual = [training.schedule_factor(step, steps, schedule, warmup=0) for step in range(steps)]
        np.testing.assert_allclose(actual, wanted, atol=1e-12)
    rising = [training.schedule_factor(step, 100, "constant", warmup=0.2) for step in range(100)]
    np.testing.assert_allclose(rising, np.minimum((np.arange(100) + 1) / 20, 1))


# -- both frameworks -------------------------------------------------------------------------------------------------


@quiet
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimiser": "sgd", "schedule": "polynomial", "weight_decay": 0.01, "learning_rate": 0.1},
        {"clip": 0.5, "learning_rate": 1e-3},
    ],
    ids=["adamw", "sgd", "clip"],
)
def test_losses_of_both_frameworks_agree(data, options):
    losses = {}
    for framework, msv in FRAMEWORKS.items():
        losses[framework] = msv.fit(model_of(framework), data, steps=20, batch_size=16, **options).losses
    wanted, actual = (np.array(losses[framework]) for framework in FRAMEWORKS)
    assert len(wanted) == 20 and wanted[-4:].mean() < wanted[:4].mean() - 0.02
    assert_agrees("fit", "TensorFlow", "PyTorch, losses of 20 steps", actual, wanted, 1e-3)


def test_a_deep_network_takes_the_same_steps_in_double_precision():
    """In single precision rounding soon decides which values a ReLU lets through, and losses part."""
    torch.manual_seed(0)
    ours = msv_torch.FPNSegmenter(msv_torch.SimpleBackbone(1, (8, 16, 24)), 6, 8, 8).double()
    backbone = msv_tensorflow.SimpleBackbone((8, 16, 24), dtype="float64")
    theirs = msv_tensorflow.FPNSegmenter(backbone, 6, 8, 8, dtype="float64")
    theirs.build((None, None, None, 1))
    port(ours, theirs)
    variables, optimiser = theirs.trainable_variables, torch.optim.SGD(ours.parameters(), lr=0.05)

    @tf.function
    def step(images, labels):
        with tf.GradientTape() as tape:
            loss = msv_tensorflow.cross_entropy(theirs(images, training=True), labels)
        for variable, gradient in zip(variables, tape.gradient(loss, [variable.value for variable in variables])):
            variable.assign_sub(0.05 * gradient)
        return loss

    wanted, actual = [], []
    scenes = digit_scenes(20, size=40, diameters=(12, 32))
    for images, labels in training.Plan(scenes, steps=20, batch_size=4).batches():
        images = images.astype("float64")
        loss = msv_torch.cross_entropy(ours(torch.tensor(images).movedim(-1, 1)), torch.tensor(labels))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        wanted.append(loss.item())
        actual.append(float(step(tf.constant(images), tf.constant(labels))))
    assert wanted[-1] < wanted[0] - 0.5
    np.testing.assert_allclose(actual, wanted, rtol=1e-8)


@quiet
@every_framework
def test_it_learns(framework):
    images, labels = digits("train", size=16)[:]
    test_images, test_labels = digits("val", size=16)[:]
    msv, model = FRAMEWORKS[framework], model_of(framework)

    def accuracy(model):
        return {"accuracy": float((msv.predict(model, test_images, 100) == test_labels).mean())}

    history = msv.fit(
        model, (images, labels), steps=100, batch_size=32, learning_rate=0.01, evaluate=accuracy, every=50
    )
    assert history.evaluated == [50, 100] and len(history.losses) == 100
    assert history.metrics["accuracy"][-1] > 0.85
    assert "100 steps in" in repr(history) and "accuracy 0." in repr(history)
    assert [axes.get_ylabel() for axes in history.plot().axes] == ["loss", "accuracy"]


@quiet
@every_framework
def test_the_same_seed_gives_the_same_bits(framework, data):
    msv = FRAMEWORKS[framework]
    models = [model_of(framework, dropout=0.3) for _ in range(3)]
    torch.manual_seed(9)
    before = torch.get_rng_state()
    histories = [
        msv.fit(model, data, steps=5, batch_size=8, seed=seed, weight_decay=0.01)
        for model, seed in zip(models, (1, 1, 2))
    ]
    assert torch.equal(before, torch.get_rng_state())
    assert histories[0].losses == histories[1].losses != histories[2].losses
    assert_same_bits(models[0], models[1])


class Interruption(Exception):
    pass


@quiet
@every_framework
@pytest.mark.parametrize("stop_at", [1, 2])
def test_an_interrupted_run_ends_as_an_undisturbed_one(framework, data, tmp_path, stop_at):
    msv, options = FRAMEWORKS[framework], {"steps": 9, "batch_size": 8, "every": 3, "seed": 4, "clip": 1.0}
    undisturbed, killed, resumed = (model_of(framework, dropout=0.3) for _ in range(3))
    wanted = msv.fit(undisturbed, data, evaluate=lambda model: 0.5, **options)
    count = iter(range(9))

    def interrupted(model):
        if next(count) == stop_at:
            raise Interruption
        return 0.5

    with pytest.raises(Interruption):
        msv.fit(killed, data, evaluate=interrupted, checkpoint=tmp_path / "run", **options)
    actual = msv.fit(resumed, data, evaluate=lambda model: 0.5, checkpoint=tmp_path / "run", **options)
    assert actual.losses == wanted.losses and actual.metrics == wanted.metrics and actual.evaluated == [3, 6, 9]
    assert_same_bits(resumed, undisturbed)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]

    again = model_of(framework, dropout=0.3)  # a finished run is not run again
    assert msv.fit(again, data, checkpoint=tmp_path / "run", **options).losses == wanted.losses
    assert_same_bits(again, undisturbed)
    with pytest.raises(ValueError, match="is of another run: it has steps=9, asked is steps=12"):
        msv.fit(again, data, checkpoint=tmp_path / "run", **options | {"steps": 12})


def test_a_checkpoint_is_whole_or_is_not_written(tmp_path):
    path = tmp_path / "run"
    path.write_text("old")
    with pytest.raises(Interruption), training.written_whole(path) as place:
        place.write_text("half of the ne")
        raise Interruption
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_checkpoints_of_pytorch_hold_nothing_that_could_run(data, tmp_path):
    msv_torch.fit(Net(), data, steps=1, checkpoint=tmp_path / "run.pt")
    assert set(torch.load(tmp_path / "run.pt", weights_only=True)) == {"model", "optimiser", "history", "precision"}


@quiet
@every_framework
def test_a_loss_that_is_no_number_stops_the_run(framework, data, tmp_path):
    images, labels = data[0].copy(), data[1]
    numbers = training.Plan((images, np.arange(len(images))), steps=12, batch_size=8).batch(7)[1]
    images[numbers[0]] = np.inf
    with pytest.raises(
        FloatingPointError, match=r"the loss is nan at step 7, counted from 0: try a smaller learning_rate"
    ):
        FRAMEWORKS[framework].fit(
            model_of(framework), (images, labels), steps=12, batch_size=8, every=2, checkpoint=tmp_path / "run"
        )
    good = FRAMEWORKS[framework].fit(
        model_of(framework), data, steps=12, batch_size=8, every=2, checkpoint=tmp_path / "run"
    )
    assert len(good.losses) == 12  # the checkpoint is from before


@quiet
@every_framework
def test_it_stops_early(framework, data):
    values = iter([0.1, 0.5, 0.4, 0.5, 0.9])
    history = FRAMEWORKS[framework].fit(
        model_of(framework), data, steps=20, batch_size=8, every=2, evaluate=lambda model: next(values), patience=2
    )
    assert history.metrics == {"metric": [0.1, 0.5, 0.4, 0.5]} and len(history.losses) == 8


@quiet
@every_framework
def test_lists_of_feature_maps_and_targets_of_any_form(framework):
    rng = np.random.default_rng(0)
    levels = [rng.random((12, n, n, c), dtype=np.float32) for n, c in ((8, 4), (4, 6))]
    wanted = [rng.random((12, n, n, 5), dtype=np.float32) for n in (8, 4)]
    msv = FRAMEWORKS[framework]
    keras.utils.set_random_seed(0)
    model = msv_torch.FPN([4, 6], 5) if framework == "torch" else msv_tensorflow.FPN(5)
    shapes = [(4, n, n, 5) for n in (8, 4)]

    def loss(outputs, targets):
        assert [tuple(target.shape) for target in targets] == shapes
        if framework == "torch":
            return sum(F.mse_loss(output.movedim(1, -1), target) for output, target in zip(outputs, targets))
        return sum(tf.reduce_mean((output - target) ** 2) for output, target in zip(outputs, targets))

    history = msv.fit(model, (levels, wanted), epochs=10, batch_size=4, loss=loss)
    assert len(history.losses) == 30 and history.losses[-1] < history.losses[0]


@quiet
@every_framework
def test_sixteen_bits(framework, data, monkeypatch):
    if framework == "torch":
        monkeypatch.setattr(msv_torch.training, "_sixteen_bits", lambda: "bf16-mixed")
    else:
        monkeypatch.setattr(msv_tensorflow.training, "_mixed_policy", lambda: "mixed_bfloat16")
    msv, exact, mixed = FRAMEWORKS[framework], model_of(framework), model_of(framework)
    wanted = msv.fit(exact, data, steps=10).losses
    actual = msv.fit(mixed, data, steps=10, precision="mixed").losses
    assert actual != wanted
    np.testing.assert_allclose(actual, wanted, rtol=0.03)
    assert {str(value.dtype) for value in weights(mixed)} <= {"float32", "int64", "uint32"}
    if framework == "tensorflow":
        assert {layer.dtype_policy.name for layer in mixed._flatten_layers()} == {"float32"}


@quiet
@every_framework
def test_sixteen_bits_need_a_gpu(framework, data):
    msv, models = FRAMEWORKS[framework], [model_of(framework) for _ in range(2)]
    if torch.cuda.is_available() or tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU")
    for model, precision in zip(models, ("float32", "mixed")):
        msv.fit(model, data, steps=2, precision=precision)
    assert_same_bits(*models)


@quiet
@every_framework
def test_an_optimiser_of_ones_own(framework, data):
    msv, model = FRAMEWORKS[framework], model_of(framework)
    before = weights(model)
    if framework == "torch":
        optimiser = torch.optim.Adam([{"params": model.head.parameters(), "lr": 0.02}], lr=0.5)
        msv.fit(model, data, steps=3, optimiser=optimiser, warmup=0)
        assert optimiser.param_groups[0]["lr"] == pytest.approx(0.02 * training.schedule_factor(2, 3, warmup=0))
    else:
        optimiser = keras.optimizers.Adam(0.02)
        model.backbone.trainable = False
        msv.fit(model, data, steps=3, optimiser=optimiser, warmup=0)
        assert float(optimiser.learning_rate) == pytest.approx(0.02)  # as it was
    moved = [np.abs(new - old).max() for new, old in zip(weights(model), before) if new.ndim > 1]
    assert not any(moved[:-1])  # the kernels of the backbone
    rates = [0.02 * training.schedule_factor(step, 3, warmup=0) for step in range(3)]
    assert 0 < moved[-1] <= sum(rates) * 1.01  # a step of Adam is at most the learning rate


# -- the loss --------------------------------------------------------------------------------------------------------


@given(
    shape=st.sampled_from([(), (3, 5)]),
    ignore=st.sampled_from([None, 0, 2, 255]),
    weighted=st.booleans(),
    seed=st.integers(0, 9),
)
def test_cross_entropy_is_pytorchs_in_both(shape, ignore, weighted, seed):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(4, 3, *shape)).astype("float32"), rng.integers(0, 3, (4, *shape))
    if ignore == 255:
        labels[rng.random(labels.shape) < 0.5] = 255
    class_weights = (0.5, 1.0, 2.0) if weighted else None
    wanted = F.cross_entropy(
        torch.tensor(logits),
        torch.tensor(labels),
        torch.tensor(class_weights) if weighted else None,
        ignore_index=-100 if ignore is None else ignore,
    )
    wanted = np.nan_to_num(wanted.numpy())  # PyTorch gives nan where nothing counts
    in_torch = msv_torch.cross_entropy(torch.tensor(logits), torch.tensor(labels), ignore, class_weights)
    in_tensorflow = msv_tensorflow.cross_entropy(tf.constant(np.moveaxis(logits, 1, -1)), labels, ignore, class_weights)
    for framework, actual in (("PyTorch", in_torch), ("TensorFlow", in_tensorflow)):
        assert_agrees("cross_entropy", framework, "PyTorch's own", np.atleast_1d(actual), np.atleast_1d(wanted), 1e-5)


def test_auxiliary_outputs_count_less():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    one, two = (F.cross_entropy(part, labels) for part in logits)
    wanted = float(one + 0.4 * two)
    assert float(msv_torch.cross_entropy(tuple(logits), labels)) == pytest.approx(wanted, rel=1e-6)
    there = tuple(tf.constant(part.movedim(1, -1).numpy()) for part in logits)
    assert float(msv_tensorflow.cross_entropy(there, labels.numpy())) == pytest.approx(wanted, rel=1e-6)
    none = msv_torch.cross_entropy(tuple(logits), labels, auxiliary_weight=0)
    assert float(none) == pytest.approx(float(one))


@pytest.mark.parametrize(
    ("targets", "error", "message"),
    [
        (np.zeros((2, 4, 5), "int64"), ValueError, r"targets must have shape \(2, 4, 4\) for logits of shape"),
        (np.zeros((2, 4, 4), "float32"), TypeError, "targets must hold classes, which are integers, got"),
        (
            np.full((2, 4, 4), 3),
            (ValueError, tf.errors.InvalidArgumentError),
            "less than 3, the number of classes, or ign",
        ),
        (
            np.full((2, 4, 4), -1),
            (ValueError, tf.errors.InvalidArgumentError),
            "less than 3, the number of classes, or ign",
        ),
    ],
)
def test_cross_entropy_refuses(targets, error, message):
    with pytest.raises(error, match=message):
        msv_torch.cross_entropy(torch.zeros(2, 3, 4, 4), torch.tensor(targets))
    with pytest.raises(error, match=message):
        msv_tensorflow.cross_entropy(tf.zeros((2, 4, 4, 3)), tf.constant(targets))


# -- prediction ------------------------------------------------------------------------------------------------------


@every_framework
def test_predictions_are_those_of_the_model_in_evaluation(framework, data):
    model, msv = model_of(framework, dropout=0.5), FRAMEWORKS[framework]
    actual = msv.predict(model, data[0], batch_size=7)
    assert actual.shape == (96,)
    if framework == "torch":
        with torch.no_grad():
            wanted = model.eval()(torch.tensor(data[0]).movedim(-1, 1)).argmax(1).numpy()
    else:
        wanted = np.argmax(model(data[0], training=False), -1)
    np.testing.assert_array_equal(actual, wanted)
    np.testing.assert_array_equal(msv.predict(model, data), wanted)
    np.testing.assert_array_equal(msv.predict(model, digits("train", size=12))[:96], wanted)


# -- what is refused -------------------------------------------------------------------------------------------------


@quiet
@every_framework
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, "give steps or epochs, one of the two, got steps=None and epochs=None"),
        ({"steps": 1, "epochs": 1}, ValueError, "give steps or epochs, one of the two, got steps=1 and epochs=1"),
        ({"steps": 0}, ValueError, "steps must be at least 1, got 0"),
        ({"epochs": 1.5}, TypeError, "epochs must be an integer, got 1.5"),
        ({"steps": 1, "batch_size": 97}, ValueError, "batch_size must be at most 96, the number of samples, got 97"),
        ({"steps": 1, "schedule": "linear"}, ValueError, "schedule must be 'cosine', 'polynomial' or 'constant', got"),
        (
            {"steps": 1, "warmup": 1},
            ValueError,
            "warmup must be a share of the steps, at least 0 and less than 1, got 1",
        ),
        ({"steps": 1, "optimiser": "adam"}, ValueError, "optimiser must be 'adamw' or 'sgd', got 'adam'"),
        ({"steps": 1, "precision": "float16"}, ValueError, "precision must be 'float32' or 'mixed', got 'float16'"),
        ({"steps": 1, "every": 0}, ValueError, "every must be at least 1, got 0"),
        ({"steps": 1, "seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"steps": 1, "data": 3}, TypeError, "data must be a pair of arrays .* got int"),
        (
            {"steps": 1, "data": (np.zeros((2, 8, 8, 1), "f"), np.zeros(3, int))},
            ValueError,
            "got 2 images and 3 targets",
        ),
        ({"steps": 1, "data": (np.zeros((16, 8, 8, 1), "uint8"), np.zeros(16, int))}, TypeError, "images / 255"),
    ],
    ids=lambda x: "" if not isinstance(x, dict) else "-".join(x),
)
def test_bad_input(framework, data, options, error, message):
    options = {"data": data, **options}
    with pytest.raises(error, match=message):
        FRAMEWORKS[framework].fit(model_of(framework), **options)


def test_without_fabric_the_extra_is_named(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(ModuleNotFoundError, match=r'fit needs lightning-fabric: pip install "msvision\[torch\]"'):
        msv_torch.fit(Net(), data, steps=1)


def test_the_progress_bar_shows_loss_and_metric():
    history, text = training.History(losses=[0.5], metrics={"mIoU": [0.25]}), io.StringIO()
    bar = training.progress(history, 4)
    assert bar.disable  # output is not to a terminal here
    bar = type(bar)(total=4, file=text, disable=False, mininterval=0)
    training.advance(bar, history)
    bar.close()
    assert "loss=0.500" in text.getvalue() and "mIoU=0.250" in text.getvalue()


# -- several processes, and processes that die -----------------------------------------------------------------------

SCRIPT = """
import os, sys, time
import numpy as np
framework, folder, pause, norm = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4] == "norm"
labels = np.arange(32) % 3
images = (np.random.default_rng(0).random((32, 9, 9, 1)) + labels[:, None, None, None]).astype("float32")

def evaluate(model):
    time.sleep(pause)
    return 0.0

options = dict(steps=8, batch_size=8, learning_rate=0.02, clip=1.0, every=1, evaluate=evaluate)
options["checkpoint"] = folder + "/checkpoint"
if framework == "torch":
    import torch
    from torch import nn
    from msvision.torch import fit
    torch.set_num_threads(1)
    torch.manual_seed(0)
    norms = [nn.BatchNorm2d(6)] if norm else []
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), *norms, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)
    )
    history = fit(model, (images, labels), **options)
    weights = [value.numpy() for value in model.state_dict().values()]
    rank = os.environ.get("RANK", "0")
else:
    import keras, tensorflow as tf
    several = "TF_CONFIG" in os.environ
    strategy = tf.distribute.MultiWorkerMirroredStrategy() if several else tf.distribute.get_strategy()
    from msvision.tensorflow import fit
    with strategy.scope():
        keras.utils.set_random_seed(0)
        layers = keras.layers.Conv2D(6, 3, activation="relu"), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)
        norms = [keras.layers.BatchNormalization()] if norm else []
        model = keras.Sequential([*layers[:1], *norms, *layers[1:]])
        history = fit(model, (images, labels), **options)
    weights = [variable.numpy() for variable in model.weights]
    rank = str(strategy.cluster_resolver.task_id) if several else "0"
with open(f"{folder}/{rank}.npz", "wb") as file:
    np.savez(file, *weights, losses=history.losses)
"""


def start(framework, folder, pause=0.0, norm="", launcher=(), **environment):
    folder.mkdir(exist_ok=True)
    script = folder.parent / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, *launcher, str(script), framework, str(folder), str(pause), norm]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **environment}
    with (folder / f"log{len(list(folder.glob('log*')))}").open("w") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


def finish(processes, seconds=85):
    try:
        end = time.monotonic() + seconds
        assert [process.wait(max(end - time.monotonic(), 0.1)) for process in processes] == [0] * len(processes)
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def results(folder, rank=0):
    with np.load(folder / f"{rank}.npz") as saved:
        return dict(saved)


def assert_same_results(actual, wanted, **tolerance):
    assert actual.keys() == wanted.keys()
    for name in wanted:
        np.testing.assert_allclose(actual[name], wanted[name], **tolerance)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def in_two_processes(framework, folder, norm=""):
    if framework == "torch":
        launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
        finish([start(framework, folder, norm=norm, launcher=launcher)])
    else:
        workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
        tasks = [{"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}} for index in range(2)]
        finish([start(framework, folder, norm=norm, TF_CONFIG=json.dumps(task)) for task in tasks])
    return results(folder, 0), results(folder, 1)


@pytest.mark.slow
@every_framework
def test_two_processes_are_one(framework, tmp_path):
    finish([start(framework, tmp_path / "one")])
    first, second = in_two_processes(framework, tmp_path / "two")
    wanted = results(tmp_path / "one")
    assert len(wanted["losses"]) == 8 and wanted["losses"][-1] < wanted["losses"][0]
    assert_same_results(first, second, rtol=0, atol=0)
    assert_same_results(first, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@every_framework
def test_two_processes_have_the_same_running_statistics(framework, tmp_path):
    first, second = in_two_processes(framework, tmp_path / "two", norm="norm")
    assert_same_results(first, second, rtol=0, atol=0)
    assert (
        len([values for values in first.values() if values.shape == (6,)]) == 5
    )  # bias, scale, offset, mean, variance


@pytest.mark.slow
@every_framework
def test_killed_at_any_moment_and_started_again(framework, tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    finish([start(framework, undisturbed)])
    process = start(framework, killed, pause=0.2)
    end = time.monotonic() + 60
    while not (killed / "checkpoint").exists() and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.37)  # somewhere in the second or third step
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not (killed / "0.npz").exists()
    finish([start(framework, killed)])
    assert_same_results(results(killed), results(undisturbed), rtol=0, atol=0)
