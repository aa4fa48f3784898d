"""import coursekit against import keras: nothing heavy until it is needed."""

import subprocess
import sys

import _ratio


def importing(name):
    """Return a function that imports a package in a new interpreter."""
    return lambda: subprocess.run([sys.executable, "-c", f"import {name}"], check=True)


def main():
    """Measure; the start of the interpreter is taken off both sides."""
    arguments = _ratio.parser(__doc__, rounds=10).parse_args()
    ways = {"start": lambda: subprocess.run([sys.executable, "-c", ""], check=True)}
    ways |= {name: importing(name) for name in ("coursekit", "keras")}
    times = _ratio.interleave(ways, arguments.rounds)
    start = times["start"]
    found = _ratio.ratio(times["coursekit"] - start, times["keras"] - start)
    rows = [_ratio.row("import coursekit / import keras", found, at_most=0.1)]
    _ratio.finish(rows, arguments.json)


if __name__ == "__main__":
    main()
