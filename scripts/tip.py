"""Draw the figure of the first page, book/_static/tip.svg.

The first page is no notebook, and the README shows the same file, so it is committed.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from coursekit import plots, theory

TARGET = Path(__file__).parents[1] / "book" / "_static" / "tip.svg"
UNITS, DEPTH = 64, 20
CRITICAL = theory.critical_gain("relu") / np.sqrt(UNITS)


def profile(stddev):
    """Return delta of each ReLU layer over that of the top one."""
    # the profile of ReLU does not depend on the size of what comes in
    return theory.delta_profile("relu", stddev * np.sqrt(UNITS), DEPTH, 1.0)


def main():
    plots.use_style()
    ax = plt.subplots()[1]
    layer = np.arange(1, DEPTH + 1)
    # the words of the level line end before another line comes near
    for stddev, place, words in (
        (0.35, 8, "0.35: it explodes"),
        (CRITICAL, 3, f"{CRITICAL:.3f}: level, the critical value"),
        (0.06, 8, "0.06: it vanishes"),
    ):
        values = profile(stddev)
        ax.plot(layer, values, **plots.THEORY)
        side = (0, 7) if stddev >= CRITICAL else (10, -8)
        ax.annotate(words, (place, values[place - 1]), side, textcoords="offset points")
        print(f"{stddev:.3f}: {values[0]:.1e} at layer 1")
    ax.set(yscale="log", xlabel="layer (1 reads the input)", ylabel="signal")
    ax.set_xticks([1, 5, 10, 15, 20])
    ax.figure.savefig(TARGET, metadata={"Date": None})


if __name__ == "__main__":
    main()
