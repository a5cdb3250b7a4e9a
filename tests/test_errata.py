"""What the page *Errata of popular tutorials* says of others, where the tests of an operator do not show it already."""

from __future__ import annotations

import csv
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F
from torch import nn

ROWS = Path(__file__).resolve().parents[1] / "book/reference/08_learning_to_resize.csv"


def test_tiles_of_an_unknown_size_are_none():
    @tf.function(input_signature=[tf.TensorSpec([None, None, 3])])
    def tiles(image):
        return tf.range(0, image.shape[0], 64), tf.range(0, tf.shape(image)[0], 64)

    theirs, asked_at_run_time = tiles(tf.zeros((200, 100, 3)))
    assert theirs.shape == (0,)
    assert asked_at_run_time.numpy().tolist() == [0, 64, 128, 192]


def test_enlarging_by_two_does_not_fit_odd_sizes():
    fine, coarse = torch.zeros(1, 4, 13, 9), torch.zeros(1, 4, 7, 5)  # 13 × 9 halved
    with pytest.raises(RuntimeError, match="must match the size"):
        fine + F.interpolate(coarse, scale_factor=2)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        tf.zeros((1, 13, 9, 4)) + keras.layers.UpSampling2D(2)(tf.zeros((1, 7, 5, 4)))
    assert (fine + F.interpolate(coarse, fine.shape[2:])).shape == fine.shape


@pytest.mark.parametrize("rate", [12, 24, 36])
def test_eight_of_nine_weights_never_learn_where_rates_reach_beyond_the_map(rate):
    x, layer = torch.rand(1, 2, 8, 8), nn.Conv2d(2, 3, 3, padding=rate, dilation=rate)
    middle = F.conv2d(x, layer.weight[:, :, 1:2, 1:2], layer.bias)
    torch.testing.assert_close(layer(x), middle)
    layer(x).square().sum().backward()
    assert torch.nonzero(layer.weight.grad.abs().sum((0, 1))).tolist() == [[1, 1]]


def test_a_block_of_16_filters_takes_no_other_number_of_channels():
    def block(channels):
        x = keras.Input((8, 8, channels))
        return keras.layers.Add()([x, keras.layers.Conv2D(16, 3, padding="same")(x)])

    assert block(16).shape[3] == 16
    assert block(1).shape[3] == 16  # one channel, added to each of 16 without a word
    with pytest.raises(ValueError):
        block(8)


def test_single_runs_disagree_about_what_a_resizer_gains():
    with ROWS.open(encoding="utf8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["experiment"] == "cats and dogs"]
    with_it, without = (
        [float(row["accuracy"]) for row in rows if row["arm"] == arm] for arm in ("learned resizer", "bilinear")
    )
    gains = np.subtract.outer(with_it, without)  # every run with, against every run without
    assert len(gains) >= 5 and gains.min() < -0.01 and gains.max() > 0.01
