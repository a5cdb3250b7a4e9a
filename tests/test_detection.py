"""The detector: its parts against torchvision, TensorFlow and their definitions, and all of it on a scene."""

import math

import numpy as np
import peers
import pytest
import tensorflow as tf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from measured import assert_agrees

from msvision import geometry
from msvision import tensorflow as msv_tensorflow
from msvision import torch as msv_torch
from msvision.port import port

FRAMEWORKS = {"PyTorch": msv_torch, "TensorFlow": msv_tensorflow}
REDUCTIONS = (4, 8, 16)
in_both = pytest.mark.parametrize("framework", FRAMEWORKS)


def tensors(framework, tree):
    """NumPy arrays as tensors; levels, which have four dimensions, come channels last."""
    if isinstance(tree, (list, tuple)):
        return [tensors(framework, item) for item in tree]
    if framework == "TensorFlow":
        return tf.constant(tree)
    return torch.tensor(np.ascontiguousarray(np.moveaxis(tree, -1, 1)) if tree.ndim == 4 else tree)


def arrays(tree):
    if isinstance(tree, (list, tuple)):
        return [arrays(item) for item in tree]
    if isinstance(tree, tf.Tensor):
        return tree.numpy()
    return np.moveaxis(tree.detach().numpy(), 1, -1) if tree.ndim == 4 else tree.detach().numpy()


def targets(framework, objects, classes, size, reductions=REDUCTIONS):
    boxes, labels = zip(*objects)
    function = FRAMEWORKS[framework].detection_targets
    return function(tensors(framework, boxes), tensors(framework, labels), classes, size, reductions)


@st.composite
def images(draw, most=6, step=0.25, classes=3):
    """A size and the objects of a few images, with coordinates that are exact in single precision."""
    height, width = draw(st.integers(1, 90)), draw(st.integers(1, 90))

    def side(length):
        ends = st.integers(0, int(length / step))
        return draw(st.tuples(ends, ends).filter(lambda pair: pair[0] != pair[1]).map(sorted))

    objects = []
    for _ in range(draw(st.integers(1, 2))):
        sides = [(side(width), side(height)) for _ in range(draw(st.integers(0, most)))]
        boxes = np.array([(x[0], y[0], x[1], y[1]) for x, y in sides], "float32").reshape(-1, 4) * np.float32(step)
        objects.append((boxes, np.array([draw(st.integers(0, classes - 1)) for _ in sides], "int64")))
    return (height, width), objects


# -- the head --------------------------------------------------------------------------------------------------------


@in_both
def test_head_is_torchvisions(framework):
    peers.torchvision()
    from torchvision.models.detection.fcos import FCOSHead

    torch.manual_seed(0)
    peer, ours = FCOSHead(256, 1, 5).eval(), msv_torch.FPNDetector(msv_torch.SimpleBackbone(3, (4, 4)), 5).eval()
    for value in peer.parameters():
        torch.nn.init.normal_(value, std=0.05)
    names = {
        "classification_head.conv": "class_tower",
        "classification_head.cls_logits": "logits",
        "regression_head.conv": "box_tower",
        "regression_head.bbox_reg": "distances",
        "regression_head.bbox_ctrness": "centreness",
    }
    state = {}
    for name, value in peer.state_dict().items():
        theirs = next(theirs for theirs in names if name.startswith(theirs + "."))
        state[names[theirs] + name.removeprefix(theirs)] = value
    assert not ours.load_state_dict(state, strict=False).unexpected_keys
    levels = [torch.randn(2, 256, *size) for size in ((9, 7), (1, 1))]
    with torch.no_grad():
        wanted = {name: value.numpy() for name, value in peer(levels).items()}  # (N, cells, …)
        if framework == "PyTorch":
            result = [ours._head(x, torch.tensor(0.5), reduction=4) for x in levels]
        else:
            here = msv_tensorflow.FPNDetector(msv_tensorflow.SimpleBackbone((4, 4)), 5)
            here.build((None, None, None, 3))
            port(ours, here)
            result = [here._head(tf.constant(x.movedim(1, -1).numpy()), 0.5, 4) for x in levels]
    cells = np.concatenate([level.reshape(2, -1, 10) for level in arrays(result)], 1)
    against = f"torchvision {peers.torchvision().__version__.partition('+')[0]} FCOSHead"
    assert_agrees("FPNDetector", framework, against, cells[..., :5], wanted["cls_logits"])
    assert_agrees("FPNDetector", framework, against, cells[..., 9:], wanted["bbox_ctrness"])
    before = np.log(cells[..., 5:9] / 4) / 0.5  # torchvision has a ReLU there, and no scale
    assert_agrees("FPNDetector", framework, against, before.clip(0), wanted["bbox_regression"], 2e-5)


def test_starts_alike_in_both():
    torch.manual_seed(0)
    ours = msv_torch.FPNDetector(msv_torch.SimpleBackbone(3, (4, 8)), 7, 64, 1)
    theirs = msv_tensorflow.FPNDetector(msv_tensorflow.SimpleBackbone((4, 8)), 7, 64, 1)
    theirs.build((None, None, None, 3))
    for name in ("logits", "distances", "centreness"):
        kernel, bias = getattr(theirs, name).get_weights()
        weight = getattr(ours, name).weight.detach().numpy()
        assert abs(weight.std() / 0.01 - 1) < 0.1 and abs(kernel.std() / 0.01 - 1) < 0.1
        np.testing.assert_allclose(bias, getattr(ours, name).bias.detach(), rtol=1e-6)
    np.testing.assert_allclose(1 / (1 + np.exp(-theirs.logits.bias.numpy())), 0.01, rtol=1e-5)
    assert theirs.scale.numpy().tolist() == ours.scale.tolist() == [1, 1]


@pytest.mark.parametrize(
    "extra, reductions", [(None, (8, 16)), ("pool", (8, 16, 32)), ("convolutions", (8, 16, 32, 64))]
)
def test_reductions_are_what_a_run_shows(extra, reductions):
    backbone = msv_torch.SimpleBackbone(3, (4, 4, 4, 4))
    detector = msv_torch.FPNDetector(backbone, 2, 8, 1, first_level=2, extra=extra)
    assert detector.reductions == reductions
    for size in ((64, 64), (65, 47), (1, 1)):
        shapes = [tuple(level.shape) for level in detector(torch.rand(1, 3, *size))]
        assert shapes == [(1, 7, *(math.ceil(n / reduction) for n in size)) for reduction in reductions]
        empty = np.zeros((0, 4), "float32"), np.zeros(0, "int64")
        assert [tuple(level.shape) for level in targets("PyTorch", [empty], 2, size, reductions)] == shapes


# -- targets ---------------------------------------------------------------------------------------------------------


def targets_slowly(boxes, labels, classes, size, reductions):
    """Cell by cell, box by box, as the paper says it."""
    levels = []
    for number, reduction in enumerate(reductions):
        shape = [math.ceil(n / reduction) for n in size]
        low = 8 * reductions[number - 1] if number else 0
        high = 8 * reduction if number + 1 < len(reductions) else math.inf
        level = np.zeros((*shape, classes + 5))
        for row, column in np.ndindex(*shape):
            x, y = (column + 0.5) * reduction, (row + 0.5) * reduction
            smallest = math.inf
            for (x_min, y_min, x_max, y_max), label in zip(boxes, labels):
                sides = x - x_min, y - y_min, x_max - x, y_max - y
                area = (x_max - x_min) * (y_max - y_min)
                if min(sides) > 0 and low <= max(sides) <= high and area < smallest:
                    smallest = area
                    left, top, right, bottom = map(float, sides)
                    centred = min(left, right) / max(left, right) * min(top, bottom) / max(top, bottom)
                    level[row, column] = [*(label == np.arange(classes)), *sides, math.sqrt(centred)]
        levels.append(level)
    return levels


@settings(max_examples=25)
@given(case=images())
@in_both
def test_targets_are_the_papers(framework, case):
    size, objects = case
    result = arrays(targets(framework, objects, 3, size))
    wanted = [np.stack(level) for level in zip(*(targets_slowly(*pair, 3, size, REDUCTIONS) for pair in objects))]
    against = "Tian et al., section 3, cell by cell in NumPy"
    assert_agrees("detection_targets", framework, against, result, wanted, 1e-6)
    for level, right in zip(result, wanted):
        np.testing.assert_array_equal(level[..., :-1], right[..., :-1])


@in_both
def test_a_box_between_all_centres_is_found_by_none(framework):
    thin = np.array([[0, 0, 2, 30], [2.5, 2.5, 5.5, 5.5]], "float32"), np.array([0, 0])
    assert not any(level.any() for level in arrays(targets(framework, [thin], 1, (32, 32))))  # first centre: (2, 2)
    small = np.array([[1.5, 1.5, 2.5, 2.5]], "float32"), np.array([0])
    finest, *others = arrays(targets(framework, [small], 1, (32, 32)))
    assert finest[0, 0, 0].tolist() == [1, 0.5, 0.5, 0.5, 0.5, 1]
    assert finest.sum() == 4 and not any(level.any() for level in others)


# -- and back --------------------------------------------------------------------------------------------------------


def perfect(levels, classes):
    """What a detector says that has learned everything: targets with probabilities as logits of ± 40."""
    return [
        np.concatenate(
            [level[..., :classes] * 80 - 40, level[..., classes:-1], np.where(level[..., -1:] > 0, 40.0, -40.0)], -1
        ).astype("float32")
        for level in levels
    ]


@settings(max_examples=25)
@given(case=images())
@in_both
def test_targets_decode_to_their_boxes(framework, case):
    size, objects = case
    levels = arrays(targets(framework, objects, 3, size))
    decoded = FRAMEWORKS[framework].decode_detections(
        tensors(framework, perfect(levels, 3)), REDUCTIONS, size, 0.5, iou_threshold=1.0, candidates=9999, limit=9999
    )
    for number, (boxes, scores, labels) in enumerate(arrays(decoded)):
        given_boxes = {(*box, label) for box, label in zip(objects[number][0].tolist(), objects[number][1].tolist())}
        cells = np.concatenate([level[number].reshape(-1, 8) for level in levels])
        found = {(*box, label) for box, label in zip(boxes.tolist(), labels.tolist())}
        assert found <= given_boxes and (scores > 0.99).all()
        assert len(boxes) == (cells[:, :3] == 1).any(1).sum()  # one for each cell that finds something
        for box, label in zip(*objects[number]):
            alone = arrays(targets(framework, [(box[None], label[None])], 3, size))
            if len(objects[number][0]) == 1 and any(level.any() for level in alone):
                assert found == {(*box.tolist(), int(label))}


@in_both
def test_boxes_apart_come_back_once_each(framework):
    boxes = np.array([[1, 2, 13, 15], [20, 3, 27, 9.5], [30, 30, 65, 47], [0, 20, 24, 47]], "float32")
    labels = np.array([2, 0, 1, 1])
    levels = perfect(arrays(targets(framework, [(boxes, labels)], 3, (47, 65))), 3)
    ((found, _, found_labels),) = arrays(
        FRAMEWORKS[framework].decode_detections(tensors(framework, levels), REDUCTIONS, (47, 65))
    )
    assert sorted(zip(found.tolist(), found_labels.tolist())) == sorted(zip(boxes.tolist(), labels.tolist()))


@in_both
def test_decoding_worked_out_by_hand(framework):
    fine, coarse = np.full((1, 2, 3, 7), -40.0, "float32"), np.full((1, 1, 2, 7), -40.0, "float32")
    fine[..., 2:6] = coarse[..., 2:6] = 3
    zero = math.log(3)  # probability 3/4
    fine[0, 1, 2] = [40, -40, 5, 4, 3, 2, zero]  # centre (20, 12): 15, 8, 23, 14; score sqrt(3/4)
    fine[0, 0, 0] = [40, zero, 6, 1, 4, 9, 40]  # centre (4, 4): -2, 3, 8, 13; scores 1 and sqrt(3/4) for two classes
    coarse[0, 0, 1] = [
        40,
        -40,
        10,
        1,
        2,
        7,
        0,
    ]  # centre (24, 8): 14, 7, 26, 15; score sqrt(1/2); less than 0.6 in common
    levels = tensors(framework, [fine, coarse])
    decode = FRAMEWORKS[framework].decode_detections
    ((boxes, scores, labels),) = arrays(decode(levels, (8, 16), (16, 24)))
    wanted = [[0, 3, 8, 13], [0, 3, 8, 13], [15, 8, 23, 14], [14, 7, 24, 15]]  # cut at the border
    assert boxes.tolist() == wanted and labels.tolist() == [0, 1, 0, 0]
    np.testing.assert_allclose(scores, [1, 0.75**0.5, 0.75**0.5, 0.5**0.5], rtol=1e-6)
    ((boxes, _, _),) = arrays(decode(levels, (8, 16), (16, 24), iou_threshold=0.5))  # 48 of 80 pixels in common
    assert boxes.tolist() == wanted[:3]
    ((boxes, _, _),) = arrays(decode(levels, (8, 16), (16, 24), score_threshold=0.8, limit=2))
    assert boxes.tolist() == wanted[:2]
    ((boxes, _, _),) = arrays(decode(levels, (8, 16), (16, 24), candidates=1))
    assert boxes.tolist() == wanted[:1]
    ((boxes, scores, labels),) = arrays(decode(levels, (8, 16), (16, 24), score_threshold=1.0))
    assert (boxes.shape, scores.shape, labels.shape) == ((0, 4), (0,), (0,))


@in_both
def test_boxes_outside_the_image_are_left_out(framework):
    level = np.full((1, 1, 3, 6), 40.0, "float32")
    level[..., 1:5] = 2
    ((boxes, _, _),) = arrays(FRAMEWORKS[framework].decode_detections(tensors(framework, [level]), (8,), (7, 17)))
    assert boxes.tolist() == [[2, 2, 6, 6], [10, 2, 14, 6]]  # the third cell's centre is at 20


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_any_precision(dtype):
    boxes = np.array([[1, 2, 13, 15], [30, 30, 500, 470]], "float32"), np.array([1, 0])
    levels = perfect(arrays(targets("PyTorch", [boxes], 2, (480, 512))), 2)
    ours = [level.to(getattr(torch, dtype)) for level in tensors("PyTorch", levels)]
    theirs = [tf.cast(level, dtype) for level in levels]
    for msv, given_levels in ((msv_torch, ours), (msv_tensorflow, theirs)):
        ((found, _, labels),) = arrays(msv.decode_detections(given_levels, REDUCTIONS, (480, 512)))
        assert sorted(zip(labels.tolist(), found.round().tolist())) == [(0, [30, 30, 500, 470]), (1, [1, 2, 13, 15])]


# -- suppression -----------------------------------------------------------------------------------------------------


def suppress_slowly(boxes, scores, labels, threshold):
    left = sorted(range(len(boxes)), key=lambda i: (-scores[i], i))
    kept = []
    while left:
        best, *left = left
        kept.append(best)
        overlaps = geometry.box_iou(boxes[best : best + 1], boxes)[0]
        left = [i for i in left if overlaps[i] <= threshold or labels[i] != labels[best]]
    return kept


@st.composite
def crowds(draw):
    count = draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    corners = rng.integers(0, 20, (count, 2))
    boxes = np.concatenate([corners, corners + rng.integers(1, 20, (count, 2))], 1).astype("float32")
    scores = (rng.integers(0, 8, count) / 8).astype("float32")  # many are equal
    return boxes, scores, rng.integers(0, 2, count), draw(st.sampled_from([0.0, 0.3, 0.5, 0.75, 1.0]))


@given(crowd=crowds())
@in_both
def test_suppression_is_one_after_the_other(framework, crowd):
    boxes, scores, labels, threshold = crowd
    suppress = FRAMEWORKS[framework].non_maximum_suppression
    given_tensors = tensors(framework, [boxes, scores, labels])
    assert arrays(suppress(*given_tensors, threshold)).tolist() == suppress_slowly(boxes, scores, labels, threshold)
    without = arrays(suppress(*given_tensors[:2], iou_threshold=threshold)).tolist()
    assert without == suppress_slowly(boxes, scores, np.zeros(len(boxes)), threshold)
    assert without == tf.image.non_max_suppression(boxes, scores, max(len(boxes), 1), threshold).numpy().tolist()


@in_both
def test_a_long_chain_settles(framework):
    boxes = np.array([[2 * i, 0, 2 * i + 6, 4] for i in range(200)], "float32")  # each overlaps the next by half
    scores = np.linspace(1, 0, 200, dtype="float32")
    kept = FRAMEWORKS[framework].non_maximum_suppression(*tensors(framework, [boxes, scores]), iou_threshold=0.4)
    assert arrays(kept).tolist() == list(range(0, 200, 2))


# -- the loss --------------------------------------------------------------------------------------------------------


def loss_case(size=(33, 47), classes=3, seed=0, **arguments):
    rng = np.random.default_rng(seed)
    boxes = np.array([[1, 2, 13, 15], [20, 3, 27, 9.5], [3, 3, 40, 30], [0, 20, 24, 33]], "float32")
    objects = [(boxes, np.array([2, 0, 1, 1])), (boxes[:0], np.zeros(0, "int64"))]
    wanted = arrays(targets("TensorFlow", objects, classes, size))
    levels = [rng.normal(0, 2, level.shape) for level in wanted]
    for level in levels:
        level[..., classes:-1] = np.exp(level[..., classes:-1] / 2) * 6
    return [level.astype("float32") for level in levels], wanted


@in_both
def test_loss_is_torchvisions(framework):
    ops = peers.torchvision().ops
    levels, wanted = loss_case()
    losses = FRAMEWORKS[framework].detection_loss(tensors(framework, levels), tensors(framework, wanted))
    given_cells, right = (torch.cat([torch.tensor(x).reshape(-1, 8) for x in kind]) for kind in (levels, wanted))
    positive = right[:, :3].any(1)
    count = positive.sum()
    assert count > 10
    focal = ops.sigmoid_focal_loss(given_cells[:, :3], right[:, :3], alpha=0.25, gamma=2, reduction="sum")
    boxes = [torch.cat([-x[positive, 3:5], x[positive, 5:7]], 1) for x in (given_cells, right)]
    overlap = ops.generalized_box_iou_loss(*boxes, reduction="sum")
    centred = torch.nn.functional.binary_cross_entropy_with_logits(
        given_cells[positive, 7], right[positive, 7], reduction="sum"
    )
    peer = [float(loss / count) for loss in (focal, overlap, centred)]
    against = f"torchvision {peers.torchvision().__version__.partition('+')[0]} losses of FCOS"
    for loss, value in zip(losses, peer):
        assert_agrees("detection_loss", framework, against, np.array(float(loss)), np.array(value))


@pytest.mark.parametrize("arguments", [{}, {"alpha": 0.5, "gamma": 0.0}, {"gamma": 0.5}], ids=str)
def test_losses_and_their_gradients_agree(arguments):
    levels, wanted = loss_case()
    leaves = [level.requires_grad_() for level in tensors("PyTorch", levels)]
    ours = msv_torch.detection_loss(leaves, tensors("PyTorch", wanted), **arguments)
    variables = tensors("TensorFlow", levels)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(variables)
        theirs = msv_tensorflow.detection_loss(variables, wanted, **arguments)
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(float(b), a.item(), rtol=1e-5)
        there = tape.gradient(b, variables)
        for here, gradient in zip(torch.autograd.grad(a, leaves, retain_graph=True), there):
            np.testing.assert_allclose(gradient, arrays(here), rtol=1e-4, atol=1e-6)


@in_both
def test_perfect_detectors_lose_nothing_but_the_entropy_of_centreness(framework):
    _, wanted = loss_case()
    classification, boxes, centreness = FRAMEWORKS[framework].detection_loss(
        tensors(framework, perfect(wanted, 3)), tensors(framework, wanted)
    )
    assert abs(float(classification)) < 1e-6 and abs(float(boxes)) < 1e-6 and float(centreness) > 0


@pytest.mark.parametrize("extreme", [1e-30, 1e8])
@in_both
def test_finite_without_objects_and_for_extreme_outputs(framework, extreme):
    levels, wanted = loss_case()
    for level in levels:
        level[..., :3] *= 50
        level[..., 3:7] = extreme
    nothing = [np.zeros_like(level) for level in wanted]
    for right in (wanted, nothing):
        if framework == "PyTorch":
            leaves = [level.requires_grad_() for level in tensors(framework, levels)]
            losses = msv_torch.detection_loss(leaves, tensors(framework, right))
            gradients = torch.autograd.grad(sum(losses), leaves)
        else:
            leaves = tensors(framework, levels)
            with tf.GradientTape() as tape:
                tape.watch(leaves)
                losses = msv_tensorflow.detection_loss(leaves, right)
                total = sum(losses)
            gradients = tape.gradient(total, leaves)
        losses = arrays(list(losses))
        assert np.isfinite(losses).all()
        assert all(np.isfinite(gradient).all() for gradient in arrays(list(gradients)))
    assert losses[0] > 0 and losses[1] == losses[2] == 0


# -- graphs ----------------------------------------------------------------------------------------------------------


def test_everything_runs_in_a_graph_of_unknown_sizes():
    level = tf.TensorSpec((2, None, None, 8), tf.float32)
    boxes, labels = tf.TensorSpec((None, 4), tf.float32), tf.TensorSpec((None,), tf.int64)

    @tf.function(input_signature=[[level] * 3, [boxes] * 2, [labels] * 2, tf.TensorSpec((2,), tf.int64)])
    def graph(levels, boxes, labels, size):
        size = size[0], size[1]
        right = msv_tensorflow.detection_targets(boxes, labels, 3, size, REDUCTIONS)
        return (
            right,
            msv_tensorflow.detection_loss(levels, right),
            msv_tensorflow.decode_detections(levels, REDUCTIONS, size),
        )

    for size in ((33, 47), (64, 31)):
        levels, _ = loss_case(size)
        objects = [(np.array([[1, 2, 13, 15]], "float32"), np.array([1]))] * 2
        right, losses, decoded = graph(levels, *map(list, zip(*objects)), np.array(size))
        wanted = targets("TensorFlow", objects, 3, size)
        for a, b in zip(right, wanted):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(losses, msv_tensorflow.detection_loss(levels, wanted), rtol=1e-6)
        for image, image_wanted in zip(decoded, msv_tensorflow.decode_detections(levels, REDUCTIONS, size)):
            assert all(np.array_equal(a, b) for a, b in zip(image, image_wanted))
    assert graph.experimental_get_tracing_count() == 1


def test_the_loss_compiles():
    levels, wanted = loss_case()
    eager = msv_tensorflow.detection_loss(levels, wanted)
    np.testing.assert_allclose(
        tf.function(msv_tensorflow.detection_loss, jit_compile=True)(levels, wanted), eager, 1e-5
    )
    compiled = torch.compile(msv_torch.detection_loss, backend="eager", fullgraph=True)
    losses = compiled(tensors("PyTorch", levels), tensors("PyTorch", wanted))
    np.testing.assert_allclose([float(loss) for loss in losses], eager, rtol=1e-5)


# -- a scene ---------------------------------------------------------------------------------------------------------


def scene(rng, count=3, size=64):
    """Bright rectangles of several sizes on dark, noisy ground, none of which touch."""
    image, boxes = rng.normal(0.1, 0.05, (1, size, size)), []
    while len(boxes) < count:
        width, height = rng.integers(6, 33, 2)
        x, y = rng.integers(0, size - width), rng.integers(0, size - height)
        if all(x > c + 2 or a > x + width + 2 or y > d + 2 or b > y + height + 2 for a, b, c, d in boxes):
            image[:, y : y + height, x : x + width] += 0.9
            boxes.append((x, y, x + width, y + height))
    return image.astype("float32"), np.array(boxes, "float32")


WIDTHS = (8, 16, 16)
SMALL = {"classes": 1, "out_channels": 16, "depth": 1, "first_level": 1}


def train(seed, steps=150):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    detector = msv_torch.FPNDetector(msv_torch.SimpleBackbone(1, WIDTHS), **SMALL)
    optimizer = torch.optim.AdamW(detector.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
    for _ in range(steps):
        given_images, boxes = zip(*(scene(rng) for _ in range(8)))
        objects = [(b, np.zeros(len(b), "int64")) for b in boxes]
        right = targets("PyTorch", objects, 1, (64, 64), detector.reductions)
        loss = sum(msv_torch.detection_loss(detector(torch.tensor(np.stack(given_images))), right))
        optimizer.zero_grad(), loss.backward(), optimizer.step(), schedule.step()
    return detector.eval()


@pytest.fixture(scope="module")
def trained():
    """A small detector that has seen 1200 scenes, in both frameworks."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # faster for such small maps
    ours = train(seed=0)
    torch.set_num_threads(threads)
    theirs = msv_tensorflow.FPNDetector(msv_tensorflow.SimpleBackbone(WIDTHS), **SMALL)
    theirs.build((None, None, None, 1))
    port(ours, theirs)
    return ours, theirs


def test_a_trained_detector_finds_what_it_never_saw(trained):
    ours, theirs = trained
    rng = np.random.default_rng(1)
    given_images, truths = zip(*(scene(rng) for _ in range(8)))
    how = {"reductions": ours.reductions, "size": (64, 64), "score_threshold": 0.4, "iou_threshold": 0.3}
    x = np.stack(given_images)
    here = msv_torch.decode_detections(ours(torch.tensor(x)), **how)
    there = msv_tensorflow.decode_detections(theirs(np.moveaxis(x, 1, -1)), **how)
    for truth, image_here, image_there in zip(truths, arrays(here), arrays(there)):
        overlap = geometry.box_iou(truth, image_here[0])
        assert (overlap.max(1) > 0.5).all() and len(image_here[0]) == len(truth)
        np.testing.assert_allclose(image_there[0], image_here[0], atol=1e-3)
        np.testing.assert_allclose(image_there[1], image_here[1], atol=1e-5)
        np.testing.assert_array_equal(image_there[2], image_here[2])


# -- what is refused -------------------------------------------------------------------------------------------------

LEVEL = np.zeros((1, 2, 2, 7), "float32")
BOX, LABEL = np.array([[0, 0, 4, 4]], "float32"), np.array([1])


@pytest.mark.parametrize(
    "change, error, match",
    [
        ({"boxes": BOX}, TypeError, "boxes must be a list with an entry for each image, got"),
        ({"boxes": [], "labels": []}, ValueError, "boxes must hold an entry for at least one image, got an empty list"),
        ({"labels": []}, ValueError, "labels must hold 1 entry, one for each image as boxes does, got 0"),
        ({"boxes": [BOX[0]]}, ValueError, r"boxes\[0\] must have shape \(objects, 4\)"),
        ({"boxes": [BOX[:, :3]]}, ValueError, r"boxes\[0\] must have shape \(objects, 4\)"),
        ({"labels": [np.array([1, 1])]}, ValueError, r"labels\[0\] must have shape \(1,\), one number for each of"),
        (
            {"boxes": [BOX[:, ::-1].copy()]},
            ValueError,
            r"boxes\[0\] must hold x_min < x_max and y_min < y_max, got \[4",
        ),
        ({"labels": [np.array([2])]}, ValueError, r"labels\[0\]\[0\] must be from 0 to 1, got 2"),
        ({"labels": [np.array([-1])]}, ValueError, r"labels\[0\]\[0\] must be at least 0, got -1"),
        ({"labels": [np.array([1.0])]}, TypeError, r"labels\[0\]\[0\] must be an integer, got 1.0"),
        ({"classes": 0}, ValueError, "classes must be at least 1, got 0"),
        ({"size": 8}, TypeError, r"size must be a pair \(height, width\), got 8"),
        ({"size": (8, 8, 8)}, ValueError, r"size must be a pair \(height, width\), got \(8, 8, 8\)"),
        ({"size": (8, 0)}, ValueError, r"size\[1\] must be at least 1, got 0"),
        ({"reductions": 4}, TypeError, "reductions must be a tuple of integers, got 4"),
        ({"reductions": (4, 0)}, ValueError, r"reductions\[1\] must be at least 1, got 0"),
    ],
    ids=lambda x: str(next(iter(x))) if isinstance(x, dict) else "",
)
@in_both
def test_wrong_targets(framework, change, error, match):
    right = {"boxes": [BOX], "labels": [LABEL], "classes": 2, "size": (8, 8), "reductions": (4,)} | change
    for name in ("boxes", "labels"):
        right[name] = tensors(framework, right[name])
    with pytest.raises(error, match=match):
        FRAMEWORKS[framework].detection_targets(**right)


@pytest.mark.parametrize(
    "change, error, match",
    [
        ({"levels": LEVEL}, TypeError, "levels must be a list of images, finest first, got"),
        ({"levels": []}, ValueError, "levels must hold at least one image"),
        ({"levels": [LEVEL[..., :5]]}, ValueError, r"levels\[0\] must have a channel for each class and 5 more, got 5"),
        ({"levels": [LEVEL.astype("int64")]}, TypeError, r"levels\[0\] must hold floating-point numbers"),
        ({"levels": [LEVEL, LEVEL[..., :6]]}, ValueError, r"levels\[1\] must have 7 channels, got 6"),
        ({"targets": LEVEL}, TypeError, "levels must be a list of images"),
        ({"targets": [LEVEL, LEVEL]}, ValueError, "targets must hold 1 levels, since levels does, got 2"),
        ({"targets": [LEVEL[:, :1]]}, ValueError, r"targets\[0\] must have the shape of levels\[0\]"),
        ({"alpha": 25}, ValueError, "alpha must be from 0 to 1, got 25"),
        ({"gamma": -1}, ValueError, "gamma must be at least 0, got -1"),
    ],
    ids=lambda x: str(next(iter(x))) if isinstance(x, dict) else "",
)
@in_both
def test_wrong_losses(framework, change, error, match):
    right = {"levels": [LEVEL], "targets": [LEVEL]} | change
    for name in ("levels", "targets"):
        right[name] = tensors(framework, right[name])
    with pytest.raises(error, match=match):
        FRAMEWORKS[framework].detection_loss(**right)


@pytest.mark.parametrize(
    "change, error, match",
    [
        ({"levels": [LEVEL, LEVEL]}, ValueError, "reductions must hold 2 numbers, one for each level, got"),
        ({"levels": [LEVEL[..., :5]]}, ValueError, r"levels\[0\] must have a channel for each class and 5 more, got 5"),
        ({"size": 8}, TypeError, "size must be a pair"),
        ({"score_threshold": 2}, ValueError, "score_threshold must be from 0 to 1, got 2"),
        ({"iou_threshold": "x"}, TypeError, "iou_threshold must be a number, got 'x'"),
        ({"candidates": 0}, ValueError, "candidates must be at least 1, got 0"),
        ({"limit": 1.5}, TypeError, "limit must be an integer, got 1.5"),
    ],
    ids=lambda x: str(next(iter(x))) if isinstance(x, dict) else "",
)
@in_both
def test_wrong_decoding(framework, change, error, match):
    right = {"levels": [LEVEL], "reductions": (4,), "size": (8, 8)} | change
    right["levels"] = tensors(framework, right["levels"])
    with pytest.raises(error, match=match):
        FRAMEWORKS[framework].decode_detections(**right)


@pytest.mark.parametrize(
    "change, match",
    [
        ({"boxes": BOX[0]}, r"boxes must have shape \(objects, 4\)"),
        (
            {"scores": np.zeros(2, "float32")},
            r"scores must have shape \(1,\), one number for each of boxes, got \(2,\)",
        ),
        ({"labels": np.zeros((1, 1))}, r"labels must have shape \(1,\), one number for each of boxes, got \(1, 1\)"),
        ({"iou_threshold": 60}, "iou_threshold must be from 0 to 1, got 60"),
    ],
)
@in_both
def test_wrong_suppression(framework, change, match):
    right = {"boxes": BOX, "scores": np.zeros(1, "float32"), "labels": LABEL} | change
    for name in ("boxes", "scores", "labels"):
        right[name] = tensors(framework, right[name])
    with pytest.raises(ValueError, match=match):
        FRAMEWORKS[framework].non_maximum_suppression(**right)
