"""The digits: one documented split of scikit-learn's own images."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from coursekit import data

SHAPES = {"digits": (64,), "digit_rows": (8, 8), "digit_pixels": (64, 1)}


@pytest.mark.parametrize("name, shape", SHAPES.items())
def test_shapes_and_types(name, shape):
    (x_train, y_train), (x_test, y_test) = getattr(data, name)()
    assert x_train.shape == (1400, *shape)
    assert x_test.shape == (397, *shape)
    assert y_train.shape == (1400,)
    assert y_test.shape == (397,)
    assert x_train.dtype == x_test.dtype == np.float32
    assert y_train.dtype == y_test.dtype == np.int32


def test_the_split_is_fixed():
    (_, y_train), (_, y_test) = data.digits()
    assert y_train[:10].tolist() == [6, 6, 6, 2, 5, 6, 6, 2, 2, 1]
    counts = np.bincount(np.concatenate([y_train, y_test]))
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


@pytest.mark.parametrize("name", SHAPES)
def test_images_are_those_of_scikit_learn_and_keep_their_labels(name):
    bunch = load_digits()
    order = np.random.default_rng(0).permutation(1797)
    (x_train, y_train), (x_test, y_test) = getattr(data, name)()
    raw = bunch.images[order].reshape(1797, 64)
    x = np.concatenate([x_train, x_test]).reshape(1797, 64).astype("float64")
    if name == "digits":
        mean, std = raw[:1400].mean(axis=0), raw[:1400].std(axis=0)
        np.testing.assert_allclose(x * (std + 0.01) + mean, raw, atol=1e-4)
    else:
        assert (x * 16 == raw).all()
        assert x.min() == 0 and x.max() == 1
    assert (np.concatenate([y_train, y_test]) == bunch.target[order]).all()


def test_training_pixels_are_standardised_by_the_training_images_only():
    (x_train, _), (x_test, _) = data.digits()
    np.testing.assert_allclose(x_train.mean(axis=0), 0, atol=1e-4)
    spread = x_train.std(axis=0)
    varying = spread > 0
    assert varying.sum() > 55
    # std / (std + .01), less for the pixels that hardly ever vary
    assert (spread <= 1).all()
    assert np.median(spread[varying]) > 0.99
    assert np.abs(x_test.mean(axis=0)).max() > 0.01


@pytest.mark.parametrize("name", SHAPES)
def test_arrays_are_copies(name):
    (x_train, y_train), (x_test, y_test) = getattr(data, name)()
    before = [a.copy() for a in (x_train, y_train, x_test, y_test)]
    for array in (x_train, y_train, x_test, y_test):
        array[:] = 7
    (x_train, y_train), (x_test, y_test) = getattr(data, name)()
    for old, new in zip(before, (x_train, y_train, x_test, y_test), strict=True):
        assert (old == new).all()
