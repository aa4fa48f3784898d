"""What the notebooks of the book and of the assignments share.

Their metadata, and the first cell: in Colab, it installs this package from the
commit that the notebook was made from, or from a ZIP file where no repository is
known; elsewhere it says how to.
"""

import os
import subprocess

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
INSTALL = """\
# The course's helpers; where they are installed, this does nothing.
import sys
from importlib.util import find_spec

missing = find_spec("coursekit") is None
"""
FROM_REPOSITORY = """\
repository = "https://github.com/{name}"
commit = "{commit}"
source = f"gradient-coursekit @ git+{{repository}}@{{commit}}"
if missing and "google.colab" in sys.modules:
    %pip install -q "{{source}}"
elif missing:
    raise ImportError(f'Run this first: pip install "{{source}}"')
"""
FROM_FOLDER = """\
if missing and "google.colab" in sys.modules:
    from google.colab import files

    print("Choose the course's folder, packed as one ZIP file.")
    (source,) = files.upload()
    %pip install -q "{source}"
elif missing:
    raise ImportError("Run `pip install .` in the course's folder.")
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
    how = FROM_REPOSITORY.format(name=name, commit=revision) if known else FROM_FOLDER
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
