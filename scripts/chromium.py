"""The browser that prints, tests and measures the pages: its names and its flags."""

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")
#: What to say when there is none.
MISSING = "no browser: install Debian's package chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def executable() -> str | None:
    """Return the path of the first that is installed, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)
