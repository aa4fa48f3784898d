"""The first cell of a notebook: in Colab, it installs this package."""

INSTALL = """\
# Colab does not have the course's helpers; elsewhere this does nothing.
import sys
from importlib.util import find_spec

if "google.colab" in sys.modules and find_spec("coursekit") is None:
"""
FROM_REPOSITORY = """\
    repository = "https://github.com/{name}"
    commit = "{commit}"
    source = f"gradient-coursekit @ git+{{repository}}@{{commit}}"
    %pip install -q "{{source}}"
"""
FROM_CLONE = """\
    # To install them, run `pip install .` in a clone's folder.
    print("Run `pip install .` in the folder of the course's clone.")
"""


def setup_source(name, revision):
    """Return the first cell's text.

    Parameters
    ----------
    name : str
        ``owner/name`` of the repository on GitHub, or nothing.
    revision : str
        The commit to install, or nothing.
    """
    known = name and revision
    how = FROM_REPOSITORY.format(name=name, commit=revision) if known else FROM_CLONE
    return (INSTALL + how).rstrip()
