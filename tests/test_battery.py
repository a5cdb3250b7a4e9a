"""The battery: every operator of the table in ``operators.py``, asked the same questions in both frameworks."""

import csv
import io
import logging

import keras
import measured
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
import torch
from battery import (
    TOLERANCES,
    as_keras_gradients,
    assert_close,
    expected,
    flat,
    from_tensorflow,
    from_torch,
    gradients_tensorflow,
    gradients_torch,
    in_double_precision,
    mapped,
    projection,
    to_tensorflow,
    to_torch,
    wrong_images,
)
from operators import OPERATORS, TESTED_APART

from msvision import tensorflow as msv_tensorflow
from msvision import torch as msv_torch

WHOLE = [operator for operator in OPERATORS if not operator.like]
LAYERS = [operator for operator in WHOLE if operator.layer]
GRAPH_SIZES = [
    (67, 45),
    (40, 33),
    (64, 64),
]  # no two levels of the first share a size: PyTorch would require it for ever

every_operator = pytest.mark.parametrize("operator", WHOLE, ids=str)
every_layer = pytest.mark.parametrize("operator", LAYERS, ids=str)
quiet = pytest.mark.filterwarnings("ignore")


def test_every_operator_is_in_the_table():
    names = {operator.name for operator in OPERATORS}
    assert not names & set(TESTED_APART)
    assert names | set(TESTED_APART) == set(msv_torch.__all__) == set(msv_tensorflow.__all__)


def test_the_book_shows_what_each_was_checked_against(request):
    if request.config.getoption("--write-measured"):
        pytest.skip("the table is being written")
    with measured.TABLE.open() as file:
        shown = {(row["name"], row["framework"]) for row in csv.DictReader(file)}
    assert {(operator.name, framework) for operator in OPERATORS for framework in ("PyTorch", "TensorFlow")} <= shown


# -- numbers ---------------------------------------------------------------------------------------------------------


@quiet
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(
    "operator, size, channels",
    [(o, s, c) for o in OPERATORS for s in o.sizes for c in o.channels],
    ids=lambda x: f"{x}ch" if isinstance(x, int) else str(x).replace(" ", ""),
)
def test_values(operator, size, channels, dtype):
    ours, theirs = operator.build(operator.arguments_for(size), channels, dtype)
    inputs, wanted = operator.make_inputs(size, channels), expected(operator, size, channels)
    in_torch, in_tensorflow = ours(*to_torch(inputs, dtype)), theirs(*to_tensorflow(inputs, dtype))
    assert {str(y.dtype) for y in flat(in_torch)} == {f"torch.{dtype}"}
    assert {y.dtype.name for y in flat(in_tensorflow)} == {dtype}
    assert_close(from_torch(in_torch), wanted, **operator.tolerance(dtype))
    assert_close(from_tensorflow(in_tensorflow), wanted, **operator.tolerance(dtype))
    assert_close(from_torch(in_torch), from_tensorflow(in_tensorflow), **operator.tolerance(dtype))
    if dtype == "float32":
        against = operator.against if operator.reference else "itself in PyTorch, double precision"
        measured.record(operator.name, "PyTorch", against, from_torch(in_torch), wanted)
        measured.record(operator.name, "TensorFlow", against, from_tensorflow(in_tensorflow), wanted)


@quiet
@every_operator
def test_images_of_a_batch_do_not_meet(operator):
    ours, theirs = operator.build(operator.arguments_for((65, 47)), 3)
    inputs = operator.make_inputs((65, 47), 3)
    second = mapped(lambda x: x[-1:], inputs)
    wanted = [y[-1:] for y in expected(operator, (65, 47), 3)]
    assert_close(from_torch(ours(*to_torch(second, "float32"))), wanted, **operator.tolerance("float32"))
    assert_close(from_tensorflow(theirs(*to_tensorflow(second, "float32"))), wanted, **operator.tolerance("float32"))


# -- gradients -------------------------------------------------------------------------------------------------------


@quiet
@pytest.mark.parametrize("size", [(1, 1), (5, 8), (33, 20)], ids=str)
@every_operator
def test_gradients_agree(operator, size):
    ours, theirs = operator.build(operator.arguments_for(size), 3)
    inputs = operator.make_inputs(size, 3)
    to_inputs, to_parameters = gradients_torch(ours, to_torch(inputs, "float32", grad=True))
    to_inputs_there, to_parameters_there = gradients_tensorflow(theirs, to_tensorflow(inputs, "float32"))
    tolerance = {"atol": 1e-4 * operator.rounding, "rtol": 1e-4}
    assert_close(to_inputs, to_inputs_there, **tolerance)
    if operator.layer:
        assert_close(as_keras_gradients(ours, theirs, to_parameters), to_parameters_there, **tolerance)


@quiet
@every_operator
def test_gradients_against_differences(operator):
    ours, _ = operator.build(operator.arguments_for((5, 4)), 2, "float64")
    inputs = to_torch(operator.make_inputs((5, 4), 2), "float64", grad=True)

    def call(*leaves):
        remaining = iter(leaves)
        return tuple(flat(ours(*mapped(lambda _: next(remaining), inputs))))

    assert torch.autograd.gradcheck(call, flat(inputs), fast_mode=operator.fast_gradcheck)


@quiet
@pytest.mark.parametrize("size", [(1, 1), (33, 20)], ids=str)
@every_layer
def test_one_image_trains(operator, size):
    ours, theirs = operator.make(operator.arguments_for(size), 3)
    inputs = mapped(lambda x: x[:1], operator.make_inputs(size, 3))
    before = [parameter.clone() for parameter in ours.parameters()], trainable_weights(theirs)
    if not before[0]:
        return  # a layer without parameters

    optimizer = torch.optim.SGD(ours.train().parameters(), 0.1)
    outputs = flat(ours(*to_torch(inputs, "float32")))
    # a plain sum is constant after BatchNorm
    weights = [projection(y.shape, i) for i, y in enumerate(from_torch(outputs))]
    sum((y * to_torch(w, "float32")).sum() for y, w in zip(outputs, weights)).backward()
    optimizer.step()
    assert all(torch.isfinite(new).all() for new in ours.parameters())
    assert sum(torch.equal(old, new) for old, new in zip(before[0], ours.parameters())) <= operator.idle

    with tf.GradientTape() as tape:
        outputs = flat(theirs(*to_tensorflow(inputs, "float32"), training=True))
        loss = sum(tf.reduce_sum(y * tf.cast(w, "float32")) for y, w in zip(outputs, weights))
    gradients = tape.gradient(loss, [variable.value for variable in theirs.trainable_variables])
    keras.optimizers.SGD(0.1).apply(gradients, theirs.trainable_variables)
    assert all(np.isfinite(new).all() for new in trainable_weights(theirs))
    assert sum(np.array_equal(old, new) for old, new in zip(before[1], trainable_weights(theirs))) <= operator.idle


@quiet
@every_layer
def test_mixed_precision(operator):
    """Parameters in single precision, work in half: PyTorch's autocast and Keras' policy."""
    arguments, inputs = operator.arguments_for((33, 20)), operator.make_inputs((33, 20), 3)
    ours, single = operator.build(arguments, 3)
    mixed = getattr(msv_tensorflow, operator.name)(
        **operator.tensorflow_arguments("mixed_bfloat16"), **arguments, dtype="mixed_bfloat16"
    )
    mixed(*to_tensorflow(inputs, "float32"))
    assert {variable.dtype for variable in mixed.trainable_variables} <= {"float32"}
    mixed.set_weights(single.get_weights())
    wanted = from_torch(ours(*to_torch(inputs, "float32")))
    with torch.autocast("cpu", torch.bfloat16):
        assert_close(from_torch(ours(*to_torch(inputs, "float32"))), wanted, **operator.tolerance("bfloat16"))
    assert_close(from_tensorflow(mixed(*to_tensorflow(inputs, "float32"))), wanted, **operator.tolerance("bfloat16"))


def trainable_weights(layer):
    return [variable.numpy() for variable in layer.trainable_variables]


# -- save and load ---------------------------------------------------------------------------------------------------


@quiet
@every_layer
def test_state_dict(operator, tmp_path):
    arguments, inputs = operator.arguments_for((65, 47)), to_torch(operator.make_inputs((65, 47), 3), "float32")
    saved, _ = operator.build(arguments, 3)
    torch.save(saved.state_dict(), tmp_path / "state.pt")
    loaded = getattr(msv_torch, operator.name)(**operator.torch_arguments(3), **arguments)
    loaded.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    loaded.eval()
    assert all(torch.equal(a, b) for a, b in zip(flat(saved(*inputs)), flat(loaded(*inputs))))


def keras_model(operator):
    _, layer = operator.build(operator.arguments_for((65, 47)), 3)
    inputs = mapped(lambda x: keras.Input((None, None, x.shape[-1])), operator.make_inputs((5, 8), 3))
    return keras.Model(inputs, layer(*inputs))


@quiet
@every_layer
def test_keras_file(operator, tmp_path):
    model, inputs = keras_model(operator), to_tensorflow(operator.make_inputs((65, 47), 3), "float32")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_close(from_tensorflow(loaded(inputs)), from_tensorflow(model(inputs)), atol=0, rtol=0)
    assert_close(from_tensorflow(loaded(inputs)), expected(operator, (65, 47), 3), **operator.tolerance("float32"))


@quiet
@every_layer
def test_keras_export(operator, tmp_path):
    keras_model(operator).export(tmp_path / "saved", verbose=False)
    inputs, loaded = (
        to_tensorflow(operator.make_inputs((65, 47), 3), "float32"),
        tf.saved_model.load(tmp_path / "saved"),
    )
    assert_close(
        from_tensorflow(loaded.serve(inputs)), expected(operator, (65, 47), 3), **operator.tolerance("float32")
    )


# -- graphs: made once, for sizes not yet known ----------------------------------------------------------------------


def graph_case(operator, size):
    """Inputs and expected values for a graph, whose arguments are the same for every size."""
    return operator.make_inputs(size, 3), in_double_precision(operator, operator.arguments_in_graphs(), size, 3)


def unknown_sizes(inputs):
    return mapped(lambda x: tf.TensorSpec((None, None, None, x.shape[-1]), tf.float32), inputs)


@quiet
@every_operator
def test_tf_function_and_saved_model(operator, tmp_path):
    _, theirs = operator.build(operator.arguments_in_graphs(), 3)
    module = tf.Module()
    module.call = tf.function(theirs, input_signature=unknown_sizes(operator.make_inputs((64, 64), 3)))
    for size in GRAPH_SIZES:
        inputs, wanted = graph_case(operator, size)
        assert_close(
            from_tensorflow(module.call(*to_tensorflow(inputs, "float32"))), wanted, **operator.tolerance("float32")
        )
    assert module.call.experimental_get_tracing_count() == 1
    module.layer = theirs if operator.layer else None
    tf.saved_model.save(module, tmp_path / "saved")
    loaded = tf.saved_model.load(tmp_path / "saved")
    assert_close(
        from_tensorflow(loaded.call(*to_tensorflow(inputs, "float32"))), wanted, **operator.tolerance("float32")
    )


@quiet
@every_operator
def test_xla(operator):
    _, theirs = operator.build(operator.arguments_in_graphs(), 3)
    inputs, wanted = graph_case(operator, (65, 47))
    compiled = tf.function(lambda *inputs: theirs(*inputs), jit_compile=True, autograph=False)
    result = compiled(*to_tensorflow(inputs, "float32"))
    assert_close(from_tensorflow(result), wanted, **operator.tolerance("float32", 4))


class Call(torch.nn.Module):
    """A function as a module, which is what PyTorch exports."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


@quiet
@pytest.mark.slow
@every_operator
def test_torch_compile(operator):
    torch._dynamo.reset()
    ours, _ = operator.build(operator.arguments_in_graphs(), 3)
    compiled = torch.compile(ours, dynamic=True, fullgraph=True, backend=operator.compiler)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for size in GRAPH_SIZES:
            inputs, wanted = graph_case(operator, size)
            assert_close(from_torch(compiled(*to_torch(inputs, "float32"))), wanted, **operator.tolerance("float32", 4))


@quiet
@pytest.mark.slow
@every_operator
def test_torch_export_and_onnx(operator):
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    ours, _ = operator.build(operator.arguments_in_graphs(), 3)
    example = to_torch(operator.make_inputs((65, 47), 3), "float32")
    any_size = mapped(lambda _: {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}, example)
    program = torch.export.export(Call(ours), tuple(example), dynamic_shapes=(tuple(any_size),))
    file = io.BytesIO()
    torch.onnx.export(program, dynamo=True, verbose=False).save(file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    for size in GRAPH_SIZES:
        inputs, wanted = graph_case(operator, size)
        tensors = to_torch(inputs, "float32")
        assert_close(from_torch(program.module()(*tensors)), wanted, **operator.tolerance("float32", 4))
        names = [given.name for given in session.get_inputs()]
        results = session.run(None, dict(zip(names, (tensor.numpy() for tensor in flat(tensors)))))
        assert_close(from_torch(mapped(torch.from_numpy, results)), wanted, **operator.tolerance("float32", 4))


# -- what is refused -------------------------------------------------------------------------------------------------

WRONG = [
    pytest.param(operator, wrong, framework, id=f"{operator}-{wrong.id}-{framework}")
    for operator in WHOLE
    for wrong in [*wrong_images(operator), *operator.wrong]
    for framework in wrong.frameworks
]


@quiet
@pytest.mark.parametrize("operator, wrong, framework", WRONG)
def test_wrong_inputs(operator, wrong, framework):
    inputs = operator.make_inputs((9, 16), 3)
    arguments = operator.arguments_for((9, 16)) | wrong.arguments
    in_torch = framework == "torch"
    with pytest.raises(wrong.error, match=wrong.match):
        call = (
            operator.build(arguments, 3)[0 if in_torch else 1]
            if not operator.layer
            else layer(operator, arguments, in_torch)
        )
        inputs = wrong.inputs(inputs) if wrong.inputs else inputs
        call(*mapped(lambda x: x if isinstance(x, str) else (to_torch if in_torch else to_tensorflow)(x), inputs))


def layer(operator, arguments, in_torch):
    if in_torch:
        return getattr(msv_torch, operator.name)(**operator.torch_arguments(3) | arguments)
    return getattr(msv_tensorflow, operator.name)(**operator.tensorflow_arguments("float32") | arguments)
