"""How well one colour is seen on another."""

from matplotlib.colors import to_rgb


def contrast(one, other):
    """Return the ratio of WCAG 2."""

    def luminance(color):
        channels = to_rgb(color)
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in channels
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
