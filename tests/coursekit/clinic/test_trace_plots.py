"""Figures of a watched training: what they draw, and what they refuse."""

import keras
import numpy as np
import pytest

from coursekit import diagnose, theory, trace_plots
from coursekit.clinic.monitor.callback import GradientMonitor

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def trace():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6, 3)),
            keras.layers.SimpleRNN(8),
            keras.layers.Dense(8, "tanh"),
            keras.layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    x = RNG.normal(size=(64, 6, 3))
    monitor = GradientMonitor()
    model.fit(x, x[:, 0, :1], batch_size=16, verbose=0, callbacks=[monitor])
    return monitor.trace()


@pytest.fixture(scope="module")
def untrained():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = RNG.normal(size=(8, 3))
    return diagnose(model, x, x[:, :1]).trace


def test_maps_show_layers_over_steps(trace):
    ax = trace_plots.gradient_map(trace)
    (mesh,) = ax.collections
    np.testing.assert_allclose(mesh.get_array(), np.log10(trace.gradient.T))
    assert [t.get_text() for t in ax.get_yticklabels()] == trace.layers
    (mesh,) = trace_plots.update_map(trace).collections
    np.testing.assert_allclose(mesh.get_array(), np.log10(trace.update_ratio.T))


def test_maps_leave_zeros_and_nan_white(trace):
    trace.gradient[0, 0], trace.gradient[1, 1] = 0, np.nan
    (mesh,) = trace_plots.gradient_map(trace).collections
    assert mesh.get_array().mask[[0, 1], [0, 1]].all()


def test_delta_profile_puts_theory_through_its_last_layer(trace):
    ax = trace_plots.delta_profile(trace, theory.delta_profile("linear", 0.5, 2, 1.0))
    start, end, law = (line.get_ydata() for line in ax.lines)
    np.testing.assert_allclose(start, trace.probes[0][1].delta_norm)
    np.testing.assert_allclose(end, trace.probes[-1][1].delta_norm)
    np.testing.assert_allclose(law, [0.5 * start[1], start[1]])
    with pytest.raises(ValueError, match="theory has 9 layers"):
        trace_plots.delta_profile(trace, np.ones(9))


def test_time_profile_names_the_factor(trace):
    ax = trace_plots.time_profile(trace)
    (norms,) = trace.probes[-1][1].time_norm.values()
    np.testing.assert_allclose(ax.lines[0].get_ydata(), norms / norms[-1])
    factor = (norms[0] / norms[-1]) ** (1 / 5)
    assert f"{factor:.2f} a step" in ax.get_legend().get_texts()[0].get_text()


def test_what_is_not_there_cannot_be_drawn(untrained):
    for figure in (trace_plots.gradient_map, trace_plots.update_map):
        with pytest.raises(ValueError, match="no training step"):
            figure(untrained)
    with pytest.raises(ValueError, match="no recurrent layer"):
        trace_plots.time_profile(untrained)
    untrained.probes.clear()
    with pytest.raises(ValueError, match="no probe"):
        trace_plots.delta_profile(untrained)
