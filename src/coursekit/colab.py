"""What the notebooks of the book and of the assignments share.

Their metadata, and the first cell: in Colab, it installs this package from the
commit that the notebook was made from.
"""

import os
import subprocess

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
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


def commit(folder):
    """Return the commit that a folder is at, or nothing.

    On GitHub's runners it is the variable ``GITHUB_SHA``.
    """
    if os.environ.get("GITHUB_SHA"):
        return os.environ["GITHUB_SHA"]
    git = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    try:
        run = subprocess.run(git, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return run.stdout.strip()
