"""Figures: their size, the theme's colours, and a contrast of 3:1 on both."""

import gzip
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest

import coursekit.plots
from page import figures

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "_build" / "html" / "_images"
LIGHT, DARK = "#ffffff", "#14181e"


def contrast(one, other):
    """Return the ratio of WCAG 2."""

    def luminance(color):
        channels = matplotlib.colors.to_rgb(color)
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in channels
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.fixture
def drawn(tmp_path):
    """A figure in the course's style, as the build finds it."""
    with matplotlib.rc_context():
        coursekit.plots.use_style()
        cycle = list(plt.rcParams["axes.prop_cycle"])
        colours = [style["color"] for style in cycle]
        ax = coursekit.plots.depth_profile({"a": [[1, 10, 100]]}, {"a": [1, 10, 100]})
        path = tmp_path / "figure.svg"
        ax.figure.savefig(path, metadata={"Date": None})
        plt.close(ax.figure)
    return path, colours, cycle


def test_lines_can_be_seen_on_both_backgrounds(drawn):
    for colour in drawn[1]:
        assert contrast(colour, LIGHT) >= 3 and contrast(colour, DARK) >= 3
    assert contrast(figures.INK, LIGHT) >= 7 and contrast(figures.CHALK, DARK) >= 7


def test_no_two_lines_look_alike(drawn):
    cycle = drawn[2]
    assert len(cycle) >= 6, "as many as the most lines of a figure"
    for key in ("color", "marker"):
        assert len({style[key] for style in cycle}) == len(cycle)


def test_ink_and_paper_are_the_style_s(drawn):
    text = drawn[0].read_text(encoding="utf-8")
    assert figures.INK in text and figures.PAPER in text
    assert coursekit.plots.INK == figures.INK


def test_themed(drawn):
    text = drawn[0].read_text(encoding="utf-8")
    new = figures.themed(text)
    assert figures.PAPER not in new and "#000000" not in new
    assert new.count(figures.INK) == 1, "in the style sheet alone"
    assert "currentColor" in new and "prefers-color-scheme" in new
    assert "<metadata>" not in new and len(new) < len(text)
    assert "scale(0.015625)" in new
    assert figures.themed(new) == new, "a second build finds it done"


def test_other_pictures_stay_as_they_are():
    assert figures.themed('<svg fill="#000000"/>') == '<svg fill="#000000"/>'


def test_size(drawn, tmp_path):
    assert figures.measured(drawn[0]) == (518, 336)
    assert figures.measured(tmp_path / "nothing.svg") is None


@pytest.mark.parametrize("path", sorted(IMAGES.glob("*.svg")), ids=lambda p: p.stem[:8])
def test_each_figure_of_the_book(path):
    text = path.read_text(encoding="utf-8")
    assert "currentColor" in text, "drawn without plots.use_style()"
    assert figures.PAPER not in text and figures.INK + ";" not in text
    assert len(gzip.compress(text.encode())) < 30_000
    # at three fifths of it, on a phone, text of 11 points is 9 pixels high
    assert figures.measured(path)[0] <= 540, "stack the panels"


def test_there_are_figures():
    assert len(list(IMAGES.glob("*.svg"))) > 20, "run `make book` first"
