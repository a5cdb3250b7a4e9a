"""Detection: which objects an image shows and where, asked of every cell of a feature pyramid (chapter 6).

Boxes are (x_min, y_min, x_max, y_max), edges in pixels of the image: one from 2 to 6 covers pixels 2 to 5. Levels are
lists, finest first.
"""

from __future__ import annotations

import math

import keras
import tensorflow as tf
from keras import ops

from msvision import checks, geometry
from msvision.tensorflow._layers import Sequential
from msvision.tensorflow.fpn import FPN
from msvision.tensorflow.pyramids import _image, _size


@keras.saving.register_keras_serializable("msvision")
class FPNDetector(keras.layers.Layer):
    """An anchor-free detector: one small head on all levels of a feature pyramid (Tian et al., ICCV 2019, FCOS).

    Every cell of every level says which class it sees, how far the four sides of that object's box are, and how near it is
    to the middle of the box. Two towers of 3 × 3 convolutions with GroupNorm and ReLU, shared by all levels, lead there:
    one to the classes, one to the box and its centre-ness.

    Parameters
    ----------
    backbone : keras.Layer
        Returns levels, finest first, and says their ``channels`` and ``reductions``.
    classes
        Number of classes. There is none for the background: there, all are improbable.
    out_channels
        Channels of the pyramid and the towers.
    depth
        Convolutions in each tower.
    first_level
        The finest level of the backbone that is used, counted from 0. The paper's is 1 of ``resnet50()``.
    extra : {None, "pool", "convolutions"}
        Coarser levels after the last, as in :class:`FPN`. The paper has two.

    Returns
    -------
    list of Tensor, shapes (N, H_l, W_l, classes + 5)
        For each level, finest first, what its cells say: logits of the classes; then how far the left, top, right and
        bottom side are from the cell's centre, positive, in pixels of the image; then the logit of the centre-ness.

    Raises
    ------
    TypeError
        If ``backbone`` does not say its ``channels`` and ``reductions``, or a number is not an integer.
    ValueError
        If a number is too small, ``first_level`` is not a level of the backbone, or ``extra`` is unknown. What the backbone
        refuses is refused.

    Notes
    -----
    ``reductions`` says how many pixels of the image make one of each level. Distances are ``reduction * exp(scale * x)``
    with a scale that each level learns (section 3.2). Convolutions of the head start normal with a standard deviation of
    0.01, and so that each class has a probability of 0.01 (Lin et al., ICCV 2017, section 4.1); those of the pyramid as in
    :class:`FPN`. GroupNorm has groups of eight channels, or one where eight do not divide them, and epsilon 1e-5. One image
    trains.

    Examples
    --------
    >>> from msvision.tensorflow import SimpleBackbone
    >>> detector = FPNDetector(SimpleBackbone(widths=(8, 16, 16)), classes=3, out_channels=8, depth=1, first_level=1)
    >>> [tuple(level.shape) for level in detector(tf.random.uniform((1, 65, 47, 3)))]
    [(1, 17, 12, 8), (1, 9, 6, 8)]
    >>> detector.reductions
    (4, 8)
    """

    def __init__(
        self,
        backbone: keras.Layer,
        classes: int,
        out_channels: int = 256,
        depth: int = 4,
        first_level: int = 0,
        extra: str | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        checks.check_backbone(backbone)
        self.classes = geometry.check_count("classes", classes)
        self.out_channels = geometry.check_count("out_channels", out_channels, least=2)  # one number has no variance
        self.depth = geometry.check_count("depth", depth, least=0)
        self.first_level = checks.check_index("first_level", first_level, len(backbone.reductions))
        self.backbone, self.extra, policy = backbone, extra, self.dtype_policy
        self.fpn = FPN(out_channels, extra=extra, dtype=policy)
        self.reductions = geometry.fpn_reductions(tuple(backbone.reductions[first_level:]), extra)
        self.class_tower, self.box_tower = (_tower(out_channels, depth, policy) for _ in range(2))
        self.logits = _conv(classes, policy, bias=-math.log(99))
        self.distances, self.centreness = _conv(4, policy), _conv(1, policy)

    def build(self, input_shape):
        if not self.backbone.built:
            self.backbone.build(input_shape)
        self.fpn.build([(None, None, None, channels) for channels in self.backbone.channels[self.first_level :]])
        for layer in (self.class_tower, self.box_tower, self.logits, self.distances, self.centreness):
            layer.build((None, None, None, self.out_channels))
        self.scale = self.add_weight(shape=(len(self.reductions),), initializer="ones", name="scale")

    def call(self, x, training=None):
        x = _image(x)
        levels = self.fpn(self.backbone(x, training=training)[self.first_level :])
        return [self._head(*level) for level in zip(levels, tf.unstack(self.scale), self.reductions)]

    def _head(self, x, scale, reduction):
        classes, box = self.class_tower(x), self.box_tower(x)
        distances = reduction * tf.exp(scale * self.distances(box))
        return tf.concat([self.logits(classes), distances, self.centreness(box)], -1)

    def get_config(self):
        names = ("classes", "out_channels", "depth", "first_level", "extra")
        config = {"backbone": keras.saving.serialize_keras_object(self.backbone)}
        return super().get_config() | config | {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config):
        return cls(**config | {"backbone": keras.saving.deserialize_keras_object(config["backbone"])})


def detection_targets(
    boxes: list[tf.Tensor], labels: list[tf.Tensor], classes: int, size: tuple[int, int], reductions: tuple[int, ...]
) -> list[tf.Tensor]:
    """What each cell of each level has to find (Tian et al., ICCV 2019, sections 3.1 and 3.2).

    A cell has to find the box that its centre is inside of, if its level is the one for the farthest side: up to 8 times
    its reduction on the finest, from there up to 8 times its own on the next, without end on the last. Of several boxes it
    is the smallest. A box that holds no such centre, since it is too small or thin, is found by none.

    Parameters
    ----------
    boxes : list of Tensor, shapes (objects, 4)
        The objects of each image, none or more: x_min, y_min, x_max, y_max in pixels.
    labels : list of Tensor, shapes (objects,)
        Their classes: integers from 0.
    classes
        Number of classes.
    size
        Height and width of the images, in pixels.
    reductions
        How many pixels make one of each level, finest first: ``reductions`` of :class:`FPNDetector`.

    Returns
    -------
    list of Tensor, shapes (N, H_l, W_l, classes + 5)
        For each level, finest first, what its cells have to say: 1 for the class of the box and 0 for others; how far its
        left, top, right and bottom side are, in pixels; and the centre-ness, from 0 to 1, which is
        ``sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b))``. All are 0 where there is nothing to find. Levels have the
        size of the image over their reduction, rounded up.

    Raises
    ------
    TypeError, ValueError
        If ``boxes`` and ``labels`` are not lists of equal length, their tensors do not have these shapes, a label is not an
        integer from 0 to ``classes - 1``, or a box does not run from its smaller to its larger coordinates.

    Examples
    --------
    >>> boxes, labels = tf.constant([[0.0, 0.0, 16.0, 16.0]]), tf.constant([1])
    >>> (level,) = detection_targets([boxes], [labels], classes=2, size=(9, 24), reductions=(16,))
    >>> level[0, 0, 0].numpy().tolist()
    [0.0, 1.0, 8.0, 8.0, 8.0, 8.0, 1.0]
    """
    checks.check_image_lists(boxes, labels)
    geometry.check_count("classes", classes)
    size, reductions = checks.check_image_size(size), checks.check_counts("reductions", reductions)
    boxes, labels = zip(*(_objects(*pair, classes, number) for number, pair in enumerate(zip(boxes, labels))))
    # one box without area more than any image has: there is always something to choose from
    most = tf.reduce_max([tf.shape(x)[0] for x in labels]) + 1
    boxes = tf.stack([tf.pad(x, ((0, most - tf.shape(x)[0]), (0, 0))) for x in boxes])
    labels = tf.stack([tf.pad(x, ((0, most - tf.shape(x)[0]),)) for x in labels])
    levels = []
    for reduction, limits in zip(reductions, geometry.size_ranges(reductions)):
        shape = tuple(geometry.scaled_size(n, 1 / reduction) for n in size)
        levels.append(geometry.box_targets(boxes, labels, classes, shape, reduction, limits, ops))
    return levels


def detection_loss(
    levels: list[tf.Tensor], targets: list[tf.Tensor], alpha: float = 0.25, gamma: float = 2.0
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """How far a detector is from its targets: in classes, boxes and centre-ness (Tian et al., ICCV 2019, equation 2).

    The classes of all cells are compared by focal loss (Lin et al., ICCV 2017, equation 5); of the cells that have
    something to find, boxes by one minus their generalised intersection over union (Rezatofighi et al., CVPR 2019), and
    centre-ness by cross-entropy. Each sum is divided by the number of those cells, or by 1 if there are none.

    Parameters
    ----------
    levels : list of Tensor, shapes (N, H_l, W_l, classes + 5)
        What :class:`FPNDetector` says, finest first.
    targets : list of Tensor, of the same shapes
        What it should say: those of :func:`detection_targets`.
    alpha
        Weight of the cells that are of a class, from 0 to 1; the others have ``1 - alpha``.
    gamma
        How much less cells count that are right already: by ``(1 - p) ** gamma`` if their class has probability ``p``.

    Returns
    -------
    classification, boxes, centreness : Tensors, shape ()
        Three losses, not negative, in single precision at least; their sum is what FCOS trains on.

    Raises
    ------
    TypeError, ValueError
        If ``levels`` and ``targets`` are not lists of floating-point tensors of these shapes, or ``alpha`` or ``gamma`` is
        out of range.

    Examples
    --------
    >>> levels = [tf.concat([tf.zeros((1, 2, 2, 2)), tf.ones((1, 2, 2, 5))], -1)]
    >>> targets = detection_targets([tf.zeros((0, 4))], [tf.zeros(0)], classes=2, size=(8, 8), reductions=(4,))
    >>> [round(float(loss), 3) for loss in detection_loss(levels, targets)]  # 8 logits of 0, and no object
    [1.04, 0.0, 0.0]
    """
    levels, classes = _check_detector(levels)
    checks.check_level_list(targets)
    checks.check_same_levels([tuple(x.shape) for x in levels], [tuple(x.shape) for x in targets])
    alpha, gamma = checks.check_fraction("alpha", alpha), checks.check_not_negative("gamma", gamma)
    logits, distances, centreness = _parts(levels, classes)  # (N, L, classes), (N, L, 4), (N, L, 1)
    is_class, wanted, centred = (tf.cast(part, logits.dtype) for part in _parts(targets, classes))
    positive = tf.reduce_max(is_class, 2, keepdims=True) > 0  # cells that have something to find
    count = tf.maximum(tf.reduce_sum(tf.cast(positive, logits.dtype)), 1)
    weights = alpha * is_class + (1 - alpha) * (1 - is_class)
    classification = weights * _focal(tf.where(is_class > 0, logits, -logits), gamma)
    one = tf.ones_like(wanted)  # where there is nothing to find, equal boxes, whose loss is zero
    overlap = geometry.generalized_iou(tf.where(positive, distances, one), tf.where(positive, wanted, one), ops)
    centred = tf.cast(positive, logits.dtype) * tf.nn.sigmoid_cross_entropy_with_logits(centred, centreness)
    return tuple(tf.reduce_sum(loss) / count for loss in (classification, 1 - overlap, centred))


def decode_detections(
    levels: list[tf.Tensor],
    reductions: tuple[int, ...],
    size: tuple[int, int],
    score_threshold: float = 0.05,
    iou_threshold: float = 0.6,
    candidates: int = 1000,
    limit: int = 100,
) -> list[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """From what a detector says about its cells to a list of objects for each image.

    The score of a class in a cell is the geometric mean of its probability and the cell's centre-ness, as in torchvision.
    The ``candidates`` with the highest scores go through :func:`non_maximum_suppression`, each class on its own.

    Parameters
    ----------
    levels : list of Tensor, shapes (N, H_l, W_l, classes + 5)
        What :class:`FPNDetector` says, finest first.
    reductions
        How many pixels make one of each level: ``reductions`` of the detector.
    size
        Height and width of the images, in pixels. Boxes end at the border, and those outside are left out.
    score_threshold
        Scores must be larger than this.
    iou_threshold
        Of two boxes of one class whose intersection over union is larger, the one with the lower score is left out.
    candidates
        How many scores of an image are looked at, at most.
    limit
        How many objects an image has, at most.

    Returns
    -------
    list of (boxes, scores, labels) : Tensors, shapes (objects, 4), (objects,) and (objects,)
        For each image, best first. Boxes are x_min, y_min, x_max, y_max in pixels, within the image; scores are from 0 to
        1; labels are integers from 0. No gradient passes.

    Raises
    ------
    TypeError, ValueError
        If ``levels`` is not a list of as many such tensors as there are reductions, or a number is out of range.

    Notes
    -----
    Equal scores are in the order of levels, rows, columns and classes, in both frameworks.

    Examples
    --------
    >>> found, nothing = [-9.0, 9.0, 4.0, 2.0, 6.0, 3.0, 9.0], [-9.0, -9.0, 1.0, 1.0, 1.0, 1.0, 9.0]  # two classes
    >>> level = tf.constant([[[found, nothing]]])  # two cells
    >>> ((boxes, scores, labels),) = decode_detections([level], reductions=(8,), size=(8, 16))
    >>> boxes.numpy().tolist(), labels.numpy().tolist()
    ([[0.0, 2.0, 10.0, 7.0]], [1])
    """
    levels, classes = _check_detector(levels)
    reductions = checks.check_reductions(reductions, len(levels))
    height, width = checks.check_image_size(size)
    checks.check_fraction("score_threshold", score_threshold), checks.check_fraction("iou_threshold", iou_threshold)
    geometry.check_count("candidates", candidates), geometry.check_count("limit", limit)
    logits, distances, centreness = _parts([tf.stop_gradient(level) for level in levels], classes)
    scores = tf.sqrt(tf.sigmoid(logits) * tf.sigmoid(centreness))  # (N, L, classes)
    centres = [geometry.cell_centres((_size(x, 1), _size(x, 2)), *r, ops) for x, *r in zip(levels, reductions)]
    x, y = (tf.cast(tf.concat([tf.reshape(a, (-1,)) for a in axes], 0), distances.dtype) for axes in zip(*centres))
    boxes = geometry.distant_boxes(distances, x, y, ops)  # (N, L, 4)
    border = tf.stack([tf.cast(side, boxes.dtype) for side in (width, height, width, height)])
    boxes = tf.minimum(tf.maximum(boxes, 0), border)
    images = []
    for score, box in zip(tf.unstack(scores), tf.unstack(boxes)):
        seen = (score > score_threshold) & tf.reduce_all(box[:, 2:] > box[:, :2], 1, keepdims=True)
        found = tf.where(seen)
        found = tf.gather(found, _best_first(tf.gather_nd(score, found))[:candidates])
        box, score, labels = tf.gather(box, found[:, 0]), tf.gather_nd(score, found), found[:, 1]
        kept = non_maximum_suppression(box, score, labels, iou_threshold)[:limit]
        images.append(tuple(tf.gather(x, kept) for x in (box, score, labels)))
    return images


def non_maximum_suppression(
    boxes: tf.Tensor, scores: tf.Tensor, labels: tf.Tensor | None = None, iou_threshold: float = 0.6
) -> tf.Tensor:
    """Of boxes that overlap, keep the one with the highest score.

    The best box is kept, those that overlap it are left out; so is done with the best of the others, until none is left.

    Parameters
    ----------
    boxes : Tensor, shape (objects, 4)
        x_min, y_min, x_max, y_max.
    scores : Tensor, shape (objects,)
        Of equal scores the first counts as higher.
    labels : Tensor, shape (objects,)
        Boxes with different labels leave each other alone; without labels, none do.
    iou_threshold
        Boxes overlap if their intersection over union is larger than this.

    Returns
    -------
    Tensor of integers, shape (kept,)
        Which boxes are kept, best first.

    Raises
    ------
    TypeError, ValueError
        If there is not one score, and one label, for each box, or ``iou_threshold`` is not from 0 to 1.

    Examples
    --------
    >>> boxes = tf.constant([[0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0], [8.0, 0.0, 9.0, 4.0]])
    >>> non_maximum_suppression(boxes, tf.constant([0.5, 0.9, 0.2]), iou_threshold=0.5).numpy().tolist()
    [1, 2]
    """
    checks.check_fraction("iou_threshold", iou_threshold)
    others = {"scores": scores} | ({} if labels is None else {"labels": labels})
    checks.check_boxes(tuple(boxes.shape), {name: tuple(x.shape) for name, x in others.items()})
    order = _best_first(scores)
    boxes, ranks = _single(tf.gather(boxes, order)), tf.range(tf.size(order))
    beats = (geometry.box_iou(boxes, boxes, ops) > iou_threshold) & (ranks[:, None] < ranks)  # row over column
    if labels is not None:
        labels = tf.gather(labels, order)
        beats &= labels[:, None] == labels

    def unbeaten(kept):
        return ~tf.reduce_any(beats & kept[:, None], 0)

    # Who is beaten by nobody that is kept? After k rounds the k best are settled, mostly all of them after a few.
    everybody = tf.fill([tf.size(order)], True)
    kept, _ = tf.while_loop(
        lambda kept, before: tf.reduce_any(kept != before),
        lambda kept, before: (unbeaten(kept), kept),
        (unbeaten(everybody), everybody),
    )
    return tf.boolean_mask(order, kept)


# -- the steps -------------------------------------------------------------------------------------------------------


def _conv(filters: int, policy, bias: float = 0.0) -> keras.layers.Conv2D:
    return keras.layers.Conv2D(
        filters,
        3,
        padding="same",
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        bias_initializer=keras.initializers.Constant(bias),
        dtype=policy,
    )


def _tower(channels: int, depth: int, policy) -> Sequential:
    norm = {"groups": geometry.normalisation_groups(channels), "epsilon": 1e-5, "dtype": policy}
    blocks = (
        (_conv(channels, policy), keras.layers.GroupNormalization(**norm), keras.layers.ReLU(dtype=policy))
        for _ in range(depth)
    )
    return Sequential([layer for block in blocks for layer in block], dtype=policy)


def _objects(boxes: tf.Tensor, labels: tf.Tensor, classes: int, number: int) -> tuple[tf.Tensor, tf.Tensor]:
    boxes, labels = tf.convert_to_tensor(boxes), tf.convert_to_tensor(labels)
    checks.check_boxes(tuple(boxes.shape), {f"labels[{number}]": tuple(labels.shape)}, f"boxes[{number}]")
    if tf.executing_eagerly():
        checks.check_box_values(boxes.numpy(), labels.numpy(), classes, number)
    return tf.cast(boxes, tf.float32), tf.cast(labels, tf.int64)


def _check_detector(levels: list[tf.Tensor]) -> tuple[list[tf.Tensor], int]:
    checks.check_level_list(levels)
    levels = [_image(level, f"levels[{number}]") for number, level in enumerate(levels)]
    return levels, checks.check_detector_levels([tuple(level.shape) for level in levels], "NHWC")


def _parts(levels: list[tf.Tensor], classes: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """What all cells of all levels say of classes, box and centre-ness, in single precision at least."""
    rows = [tf.reshape(level, (tf.shape(level)[0], -1, classes + 5)) for level in levels]
    return tf.split(_single(tf.concat(rows, 1)), (classes, 4, 1), 2)  # (N, L, …)


def _single(x: tf.Tensor) -> tf.Tensor:
    return tf.cast(x, keras.backend.result_type(x.dtype, "float32"))


def _focal(logits: tf.Tensor, gamma: float) -> tf.Tensor:
    """Focal loss of logits that should be high: ``-(1 - p)^gamma log(p)`` with ``p = sigmoid(logit)``."""
    return tf.exp(-gamma * tf.math.softplus(logits)) * tf.math.softplus(-logits)


def _best_first(scores: tf.Tensor) -> tf.Tensor:
    return tf.argsort(scores, direction="DESCENDING", stable=True)
