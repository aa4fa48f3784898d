"""Draw the figure of the first page, book/_static/quarter.svg.

The first page is no notebook, and the README shows the same file, so it is committed.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from coursekit import plots

TARGET = Path(__file__).parents[1] / "book" / "_static" / "quarter.svg"

plots.use_style()
layers = np.arange(0, 21, 2)
ax = plt.subplots()[1]
ax.plot(layers, 0.25**layers, label="0.25 to the power of the number of layers")
ax.set(yscale="log", xlabel="layers", ylabel="product")
ax.set_xticks(range(0, 21, 5))
ax.legend()
ax.figure.savefig(TARGET, metadata={"Date": None})
