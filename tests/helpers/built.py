"""The built book, read by its tests."""

from functools import cache
from pathlib import Path

from bs4 import BeautifulSoup

HTML = Path(__file__).parents[2] / "_build" / "html"


@cache
def soup(path: Path) -> BeautifulSoup:
    """Return a page's elements, parsed once for all tests of a file: only to read."""
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
