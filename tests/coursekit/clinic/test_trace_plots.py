"""Figures of a watched training: what they draw, and what they refuse."""

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest

import coursekit
from coursekit import diagnose, theory, trace_plots
from coursekit.clinic.monitor.callback import GradientMonitor

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


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
    # without a figure that is half drawn
    assert plt.get_fignums() == [ax.figure.number]


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


@pytest.fixture(scope="module")
def deep():
    """A run of 30 layers with long names that differ at the end."""
    keras.utils.set_random_seed(0)
    dense = [
        keras.layers.Dense(4, "relu", name=f"transformer_block_dense_{n}")
        for n in range(30)
    ]
    model = keras.Sequential([keras.Input((3,)), *dense, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = RNG.normal(size=(16, 3))
    monitor = GradientMonitor()
    model.fit(x, x[:, :1], verbose=0, callbacks=[monitor])
    return monitor


@pytest.mark.parametrize("figure", [trace_plots.gradient_map, trace_plots.update_map])
def test_labels_of_many_layers_stand_apart(deep, figure):
    ax = figure(deep)
    ax.figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert len(boxes) >= 10
    for below, above in zip(boxes, boxes[1:], strict=False):
        assert above.y0 >= below.y1
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= trace_plots.LETTERS


def test_names_that_would_be_one_keep_their_length():
    one, two = ("multi_head_attention_" + n + "_query_projection" for n in "12")
    assert trace_plots.shortened([one, two]) == [one, two]
    assert trace_plots.shortened([one])[0] != one


def test_whatever_has_a_trace_can_be_drawn(deep):
    report = diagnose(deep)
    probed = report.trace.probes[0][1]
    for source in (deep, report, report.trace):
        assert len(trace_plots.gradient_map(source).collections) == 1
        assert len(trace_plots.delta_profile(source).lines) == 2
        assert "dense" in trace_plots.table(source)
    ax = trace_plots.delta_profile(probed)
    drawn = np.nan_to_num(ax.lines[0].get_ydata())
    np.testing.assert_allclose(drawn, probed.delta_norm)
    with pytest.raises(ValueError, match="no training step"):
        trace_plots.gradient_map(probed)
    for wrong in ({}, None, np.ones(3)):
        for figure in (trace_plots.gradient_map, trace_plots.delta_profile):
            with pytest.raises(TypeError, match="give monitor.trace"):
                figure(wrong)


def test_two_runs_share_their_scale(trace, deep):
    axes = trace_plots.side_by_side({"small": trace, "deep": deep})
    assert [ax.get_title() for ax in axes] == ["small", "deep"]
    first, second = (ax.collections[0] for ax in axes)
    assert first.get_clim() == second.get_clim()
    least = min(m.get_array().min() for m in (first, second))
    assert first.get_clim()[0] == least
    profiles = trace_plots.side_by_side(
        {"a": trace, "b": deep}, trace_plots.delta_profile
    )
    assert profiles[0].get_ylim() == profiles[1].get_ylim()
    with pytest.raises(ValueError, match="runs is empty"):
        trace_plots.side_by_side({})


def test_a_table_has_a_line_a_layer(trace, untrained):
    lines = trace_plots.table(trace).splitlines()
    assert [line.split()[0] for line in lines] == ["layer", *trace.layers]
    assert f"{trace.gradient[-1, 0]:.1e}" in lines[1]
    assert f"{trace.probes[-1][1].delta_norm[0]:.1e}" in lines[1]
    assert trace_plots.table(untrained).splitlines()[1].split()[1:4] == ["-"] * 3


def test_time_profile_leaves_masked_steps_out():
    model = keras.Sequential(
        [
            keras.Input((6, 1)),
            keras.layers.Masking(0.0),
            keras.layers.SimpleRNN(4),
            keras.layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    x = np.zeros((8, 6, 1), "float32")
    x[:, 2:] = RNG.normal(size=(8, 4, 1))
    for data in (x, x[:, ::-1]):
        probed = coursekit.probe(model, data, x[:, -1])
        ax = trace_plots.time_profile(probed)
        (norms,) = probed.time_norm.values()
        inside = norms[norms > 0]
        assert len(inside) == 4
        factor = (inside[0] / inside[-1]) ** (1 / 3)
        label = ax.get_legend().get_texts()[0].get_text()
        assert f"{factor:.2f} a step" in label
