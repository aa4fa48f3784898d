"""Figures: what is on the axes, not how it looks."""

import io
import warnings

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from coursekit import plots

RNG = np.random.default_rng(0)
NORMS = 10.0 ** RNG.normal(size=(3, 5))


@pytest.fixture(autouse=True)
def figures(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a figure was shown")

    monkeypatch.setattr(plt, "show", refuse)
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.use_style()
        yield
    plt.close("all")


def _depth_profile(values, ax=None):
    return plots.depth_profile({"ours": values}, {"ours": np.ones(5)}, ax=ax)


def _layer_change(values, ax=None):
    return plots.layer_change({"ours": values}, ax=ax)


def _history(values, ax=None):
    return plots.history({"ours": values}, np.ones(5), ax=ax)


LOGARITHMIC = [_depth_profile, _layer_change, _history]


def _legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize("draw", LOGARITHMIC)
def test_returns_labelled_log_axes(draw):
    ax = draw(NORMS)
    assert isinstance(ax, matplotlib.axes.Axes)
    assert ax.get_yscale() == "log"
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    assert "ours" in _legend(ax)
    if draw is not _layer_change:
        assert "theory" in _legend(ax)


@pytest.mark.parametrize("draw", LOGARITHMIC)
def test_draws_on_the_given_axes(draw):
    _, ax = plt.subplots()
    assert draw(NORMS, ax=ax) is ax
    assert len(plt.get_fignums()) == 1


@pytest.mark.parametrize("draw", LOGARITHMIC)
@pytest.mark.parametrize("zeros", ["one", "layer", "all"])
def test_zeros_can_be_drawn(draw, zeros):
    values = NORMS.copy()
    values[{"one": (1, 0), "layer": (slice(None), 0), "all": ...}[zeros]] = 0
    draw(values).figure.canvas.draw()


def test_depth_profile_draws_the_geometric_mean_and_the_range():
    ax = plots.depth_profile({"a": [[1.0, 10.0], [100.0, 1000.0]]})
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [10, 100])
    assert ax.lines[0].get_xdata().tolist() == [1, 2]
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == 1
    assert band[:, 1].max() == 1000


def test_layer_change_puts_zeros_below_every_other_dot():
    values = np.array([[0.0, 0.5], [0.0, 2.0]])
    ax = plots.layer_change({"a": values})
    drawn = np.concatenate([line.get_ydata()[:1] for line in ax.lines])
    assert (drawn > 0).all()
    assert (drawn < 0.5).all()


def test_seed_band():
    centre, sd = np.linspace(-2, 0, 5), np.linspace(1, 0, 5)
    ax = plots.seed_band(RNG.normal(size=(3, 5)), centre, sd)
    assert isinstance(ax, matplotlib.axes.Axes)
    assert ax.get_yscale() == "linear"
    assert _legend(ax) == [
        "measured, a line a seed",
        "theory, 2 sd",
        "theory, 1 sd",
        "theory, mean",
    ]
    wide, narrow = (c.get_paths()[0].vertices[:, 1] for c in ax.collections)
    assert wide.min() == pytest.approx(-4)
    assert narrow.min() == pytest.approx(-3)


def test_seed_bars_reach_from_the_smallest_to_the_largest():
    ax = plots.seed_bars([1, 2], [[0.0, 1.0, 5.0], [3.0, 3.0, 3.0]], marker="s")
    (container,) = ax.containers
    marks, _, (bars,) = container.lines
    assert marks.get_ydata().tolist() == [2.0, 3.0] and marks.get_marker() == "s"
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert ends == [[0.0, 5.0], [3.0, 3.0]]


def test_history_has_one_label_for_all_seeds():
    ax = _history(NORMS)
    assert _legend(ax) == ["ours", "theory"]
    assert ax.lines[0].get_xdata()[0] == 0


def test_history_counts_from_a_first_step():
    ax = plots.history({"ours": NORMS}, np.ones(5), first=1)
    assert {line.get_xdata()[0] for line in ax.lines} == {1}


def test_use_style_sets_the_colours_and_the_salt():
    assert matplotlib.rcParams["svg.hashsalt"] == "coursekit"
    assert plt.rcParams["axes.prop_cycle"].by_key()["color"][0] == "#0072B2"


@pytest.mark.parametrize("draw", LOGARITHMIC)
def test_the_same_figure_gives_the_same_bytes(draw):
    files = []
    for _ in range(2):
        buffer = io.BytesIO()
        draw(NORMS).figure.savefig(buffer, format="svg", metadata=plots.UNSIGNED)
        files.append(buffer.getvalue())
    assert files[0] == files[1]
    # another version of Matplotlib draws the same and would sign it otherwise
    assert matplotlib.__version__.encode() not in files[0]


def _extent(artist):
    artist.axes.figure.draw_without_rendering()
    return artist.get_window_extent()


def test_a_legend_stands_where_nothing_is_drawn():
    _, ax = plt.subplots()
    ax.fill_between([0, 1], [0.3, 0.3], [1, 1], label="band")
    ax.set(ylim=(0, 1))
    box = _extent(plots.legend(ax))
    low = ax.transData.transform((0, 0.3))[1]
    assert ax.bbox.y0 < box.y0 and box.y1 < low


def test_a_legend_without_room_stands_above_the_axes_and_is_no_wider():
    _, ax = plt.subplots()
    for number in range(5):
        ax.plot([0, 1, 2, 3] * 9, RNG.random(36), label=f"a rather long name {number}")
    legend = plots.legend(ax)
    box = _extent(legend)
    assert box.y0 >= ax.bbox.y1
    assert box.width <= ax.bbox.width
    assert box.y1 <= ax.figure.bbox.y1


def test_a_line_alone_has_its_name():
    ax = plots.name_lines(plots.depth_profile({"a": np.geomspace(1, 1e-5, 20)}))
    assert [text.get_text() for text in ax.texts] == ["a"]


@pytest.mark.parametrize("slope", [-2.0, -0.2, 0.0, 0.2, 2.0])
def test_names_touch_no_line(slope):
    layer = np.arange(1, 21)
    lines = {n: 10.0 ** (k * slope * layer) for k, n in enumerate("abc", start=1)}
    lines["level"] = np.full(20, 1e-5)
    ax = plots.name_lines(plots.depth_profile(lines, {"a": lines["a"]}))
    ax.figure.draw_without_rendering()
    places = {text.get_text(): text.get_window_extent() for text in ax.texts}
    if slope == 0:
        # three lines on one: no name can be nearest to its own
        assert not places and _legend(ax) == [*lines, "theory"]
        return
    assert set(places) == set(lines) and ax.get_legend() is None
    for text, place in zip(ax.texts, places.values(), strict=True):
        for line in ax.lines:
            path = line.get_transform().transform_path(line.get_path())
            assert not path.intersects_bbox(place.padded(1), filled=False)
        assert ax.bbox.contains(*place.min) and ax.bbox.contains(*place.max)
        assert text.get_color() in {line.get_color() for line in ax.lines}


def test_layer_change_gives_each_network_a_mark_of_its_own():
    ax = plots.layer_change({"a": NORMS, "b": 2 * NORMS})
    marks = [(line.get_color(), line.get_marker()) for line in ax.lines]
    assert set(marks) == {("C0", "o"), ("C1", "s")}


@pytest.mark.parametrize(
    ("low", "high"), [(2.25, 2.65), (0.37, 0.65), (0.05, 0.7), (0.02, 9)]
)
def test_numbers_near_1_are_no_powers_of_ten(low, high):
    ax = plots.history({"loss": np.geomspace(low, high, 30)})
    ax.figure.draw_without_rendering()
    written = [t.get_text() for t in ax.get_yticklabels(which="both")]
    assert any(written) and not any("^" in text for text in written)


def test_a_wide_log_axis_has_powers_of_ten_throughout():
    ax = plots.history({"loss": np.geomspace(1e-7, 1, 30)})
    ax.figure.draw_without_rendering()
    written = [t.get_text() for t in ax.get_yticklabels(which="both")]
    plain = [text for text in written if text and "^" not in text]
    assert plain == [r"$\mathdefault{1}$"] and any("10^{-6}" in t for t in written)
