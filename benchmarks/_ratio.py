"""Ratios of two ways of doing the same work, measured side by side.

Each round runs every way once, in a changing order. A ratio is taken within a
round, so that a machine that is busy for a while slows both sides of it.
"""

import argparse
import gc
import json
import time
from pathlib import Path

import numpy as np


def interleave(ways, rounds, clock=time.perf_counter, warm=True):
    """Time functions in turn.

    Parameters
    ----------
    ways : dict of str to callable
        Each does the work once and returns nothing that is needed.
    rounds : int
    clock : callable
        Returns seconds: wall time, or ``time.process_time`` for CPU time.
    warm : bool
        Run all once more, first, and do not count it: tracing, caches.

    Returns
    -------
    dict of str to numpy.ndarray of shape (rounds,)
        Seconds.
    """
    names = list(ways)
    seconds = {name: np.empty(rounds) for name in names}
    for name in names if warm else ():
        ways[name]()
    gc.collect()
    gc.freeze()
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            # what one way leaves is not cleared away at the cost of the next: a hundred
            # members are made in .14 s, and clearing a hundred models took longer
            gc.collect()
            start = clock()
            ways[name]()
            seconds[name][number] = clock() - start
    return seconds


def ratio(over, under):
    """Return median and range of the ratios, round by round.

    Parameters
    ----------
    over, under : array_like of shape (rounds,)

    Returns
    -------
    dict
        ``median``, ``least``, ``most`` and ``rounds``.
    """
    ratios = np.asarray(over) / np.asarray(under)
    return {
        "median": float(np.median(ratios)),
        "least": float(ratios.min()),
        "most": float(ratios.max()),
        "rounds": len(ratios),
    }


def row(name, found, *, at_least=None, at_most=None, **more):
    """Return one line of the table, with the ratio that was promised."""
    met = True
    if at_least is not None:
        met = found["median"] >= at_least
    if at_most is not None:
        met = met and found["median"] <= at_most
    return {
        "name": name,
        **found,
        "at_least": at_least,
        "at_most": at_most,
        "met": met,
        **more,
    }


def text(rows):
    """Return the lines of a table."""
    width = max(len(r["name"]) for r in rows)
    lines = [f"{'ratio':<{width}}  median  range            promised  rounds"]
    for r in rows:
        bounds = [
            f"{sign} {r[key]:g}"
            for key, sign in (("at_least", ">="), ("at_most", "<="))
            if r[key] is not None
        ]
        span = f"{r['least']:.3g} to {r['most']:.3g}"
        lines.append(
            f"{r['name']:<{width}}  {r['median']:6.3g}  {span:<15}"
            f"  {' '.join(bounds) or '-':<8}  {r['rounds']:>6}"
            f"{'' if r['met'] else '  MISSED'}"
            + "".join(f"\n    {line}" for line in r.get("notes", []))
        )
    return "\n".join(lines)


def parser(description, rounds):
    """Return a parser with the options that all benchmarks share."""
    found = argparse.ArgumentParser(description=description.splitlines()[0])
    found.add_argument("--rounds", type=int, default=rounds, help="rounds counted")
    found.add_argument("--json", type=Path, metavar="FILE", help="write the rows too")
    return found


def finish(rows, path=None):
    """Print the table; write the rows to ``path``; exit with 1 if one is missed."""
    print(text(rows))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    raise SystemExit(0 if all(r["met"] for r in rows) else 1)
