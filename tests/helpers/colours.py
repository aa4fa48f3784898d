"""How well one colour is seen on another, and told from it."""

import math

from matplotlib.colors import to_rgb


def linear(color):
    """Return red, green and blue as amounts of light."""
    return [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in to_rgb(color)
    ]


def contrast(one, other):
    """Return the ratio of WCAG 2."""

    def luminance(color):
        red, green, blue = linear(color)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def difference(one, other):
    """Return the distance of two colours in CIELAB (CIE 1976, white D65)."""

    def lab(color):
        light = linear(color)
        rows = (
            (0.4339, 0.3762, 0.1899),
            (0.2126, 0.7152, 0.0722),
            (0.0177, 0.1095, 0.8728),
        )
        x, y, z = (
            share ** (1 / 3) if share > 0.008856 else 7.787 * share + 16 / 116
            for share in (
                sum(a * b for a, b in zip(row, light, strict=True)) for row in rows
            )
        )
        return 116 * y - 16, 500 * (x - y), 200 * (y - z)

    return math.dist(lab(one), lab(other))
