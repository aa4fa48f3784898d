"""A progress bar for runs that somebody watches."""

import os
import sys
import warnings

from tqdm import TqdmWarning

with warnings.catch_warnings():
    # In a kernel without ipywidgets the bar is text; a page need not say so.
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.auto import tqdm


def progress(total, verbose="auto"):
    """Return a tqdm bar as a context manager.

    Parameters
    ----------
    total : int
    verbose : {"auto", True, False}
        With "auto" there is a bar only in a terminal and in Colab, and only
        after two seconds. Elsewhere (the rendered book, tests, logs) it would
        be left behind as text.
    """
    if verbose == "auto":
        watched = sys.stderr.isatty() or "COLAB_RELEASE_TAG" in os.environ
        return tqdm(total=total, delay=2, disable=not watched, leave=False)
    return tqdm(total=total, disable=not verbose, leave=False)
