"""The built pages: no dead link, no picture without words; short cells."""

import ast
import os
import posixpath
import re
import sys
from functools import cache
from pathlib import Path
from statistics import median
from urllib.parse import unquote, urlsplit

import jupytext
import nbformat
import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).parents[2]
HTML = ROOT / "_build" / "html"
# `make test` builds the book first. Without one there is nothing to check, and
# a test says so: `test_the_book_is_built`.
PAGES = sorted(
    path.relative_to(HTML).as_posix()
    for path in HTML.rglob("*.html")
    # the theme's templates, which nothing shows
    if "_static" not in path.parts
)
SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "book").rglob("*.md")
    if "{code-cell}" in path.read_text(encoding="utf-8")
)
# Lines of the middle cell, at most.
MEDIAN = 5
LINKS = {"a": "href", "link": "href", "img": "src", "script": "src", "source": "src"}

each_page = pytest.mark.parametrize("page", PAGES)
each_source = pytest.mark.parametrize("source", SOURCES)


@cache
def soup(page: str) -> BeautifulSoup:
    return BeautifulSoup((HTML / page).read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(page: str) -> set[str]:
    tags = soup(page).find_all(True)
    return {tag.get(key) for tag in tags for key in ("id", "name")}


def links(page: str) -> list[str]:
    """Return all addresses of a page: links, style sheets, pictures, scripts."""
    tags = soup(page).find_all(list(LINKS))
    found = [tag.get(LINKS[tag.name]) for tag in tags]
    # index.html only leads on: content="0; url=book/index.html"
    for tag in soup(page).find_all("meta", attrs={"http-equiv": "Refresh"}):
        found.append(tag["content"].partition("url=")[2])
    return [link for link in found if link is not None]


def fault(page: str, link: str) -> str:
    """Return what is wrong with a link to a file of the book, or nothing."""
    url = urlsplit(link)
    if url.scheme or url.netloc:
        # "file" would be a folder of the machine that built the book.
        return "leads out of the book" if url.scheme == "file" else ""
    if url.path.startswith("/"):
        return "works at the root of a server only"
    folder = posixpath.dirname(page)
    target = posixpath.normpath(posixpath.join(folder, unquote(url.path)))
    if not url.path:
        target = page
    if target.startswith(".."):
        return "leads out of the book"
    if not os.path.isfile(HTML / target):
        return "no such file"
    fragment = unquote(url.fragment)
    if fragment and target.endswith(".html") and fragment not in anchors(target):
        return "no such anchor"
    return ""


def test_the_book_is_built():
    assert PAGES, "no pages in _build/html: run `make book` first"
    assert (HTML / ".nojekyll").is_file()
    for source in SOURCES:
        name = source.removeprefix("book/").removesuffix(".md")
        if f"book/{name}.html" in PAGES:
            assert (HTML / "notebooks" / f"{name}.ipynb").is_file()


@each_page
def test_no_dead_links(page):
    found = links(page)
    assert found
    faults = {link: fault(page, link) for link in found}
    assert not {link: why for link, why in faults.items() if why}


def test_a_dead_link_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "HTML", tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "page.html").write_text('<p id="here">')
    good = ["", "#here", "page.html#here", "../a/page.html?v=1", "https://x.org/y#z"]
    assert not any(fault("a/page.html", link) for link in good)
    bad = ["#there", "other.html", "page.html#there", "../../a", "/a/page.html"]
    assert all(fault("a/page.html", link) for link in [*bad, "file:///a", "../a"])


def test_outputs_are_the_same_each_time():
    """Neither a log's lines nor addresses in memory."""
    for path in (ROOT / "_build" / "notebooks").rglob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                text = output.get("text", "") + data.get("text/plain", "")
                assert not re.search(r"WARNING:|\bat 0x[0-9a-f]{6}", text), path.name


@each_page
def test_every_picture_has_words(page):
    pictures = soup(page).select("img, svg.figure")
    assert not [str(picture)[:200] for picture in pictures if not words(picture)]


def words(picture) -> str:
    """Return the alternative text, unless it only repeats the file's name."""
    text = (picture.get("alt") or picture.get("aria-label") or "").strip()
    name = posixpath.basename(picture.get("src", "")) or "no file"
    return "" if text.endswith(name) or "_images/" in text else text


@cache
def cells(source: str) -> list[list[str]]:
    """Return the lines of each code cell."""
    notebook = jupytext.read(ROOT / source, fmt="md:myst")
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return [text.rstrip().split("\n") for text in code]


@each_source
def test_cells_are_short(source):
    assert median(len(lines) for lines in cells(source)) <= MEDIAN
    assert not [lines[0] for lines in cells(source) if len(lines) > 15]


@each_source
def test_lines_fit_on_a_phone(source):
    every = [line for lines in cells(source) for line in lines]
    assert not [line for line in every if len(line) > 72]


@each_source
def test_nan_is_counted_before_it_becomes_a_number(source):
    """Only a figure may draw it as one, where the page counts it, too."""
    every = ["\n".join(lines) for lines in cells(source)]
    replaced = [text for text in every if "nan_to_num" in text]
    assert all(re.search(r"\bax\.", text) for text in replaced)
    assert not replaced or any("isnan(" in text for text in every)


@each_source
def test_no_cell_ends_in_a_semicolon(source):
    """It hides a cell's output in IPython, but not reliably in its kernel."""
    assert not [lines[-1] for lines in cells(source) if lines[-1].endswith(";")]


def only_asserts(code: str) -> bool:
    """Tell whether a cell ends in a check of its own, and shows nothing."""
    if code.startswith("%%"):
        return False
    body = ast.parse(code).body
    shows = any(isinstance(node, ast.Expr) for part in body for node in ast.walk(part))
    return isinstance(body[-1], ast.Assert) and not shows


@each_source
def test_cells_that_only_assert_are_folded(source):
    notebook = jupytext.read(ROOT / source, fmt="md:myst")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    open_ones = [c for c in code if "hide-input" not in c.metadata.get("tags", [])]
    assert not [c.source for c in open_ones if only_asserts(c.source)]


def test_a_cell_that_only_asserts_is_found():
    assert only_asserts("a = 1\nassert a")
    assert not only_asserts("print(1)\nassert 1") and not only_asserts("a = 1")
    assert not only_asserts("for a in (1, 2):\n    print(a)\nassert a")


SCOPES = ast.FunctionDef | ast.Lambda | ast.For | ast.ListComp | ast.GeneratorExp


def shared_draws(code: str) -> list[str]:
    """Return the layers that take an initializer made outside of their own scope.

    An initializer of Keras returns the same values at every call: layers that share
    one, and networks of several seeds that do, have the same kernels.
    """
    found = []

    def walk(node, scope):
        if isinstance(node, ast.Call):
            kind = ast.unparse(node.func).rpartition(".")[2]
            for keyword in node.keywords:
                given = keyword.value
                if (
                    kind in ("Dense", "Conv2D", "SimpleRNN", "LSTM", "GRU")
                    and keyword.arg in ("kernel_initializer", "recurrent_initializer")
                    and isinstance(given, ast.Name)
                    and given.id not in made(scope)
                ):
                    found.append(ast.unparse(node))
        for child in ast.iter_child_nodes(node):
            walk(child, node if isinstance(node, SCOPES) else scope)

    walk(ast.parse(code), None)
    return found


def made(scope) -> set[str]:
    """Return the names that are assigned anew in each run of a scope's body."""
    body = scope.body if isinstance(scope, ast.FunctionDef | ast.For) else []
    targets = [t for line in body if isinstance(line, ast.Assign) for t in line.targets]
    targets += [scope.target] if isinstance(scope, ast.For) else []
    return {node.id for t in targets for node in ast.walk(t) if hasattr(node, "id")}


@each_source
def test_every_layer_has_draws_of_its_own(source):
    for lines in cells(source):
        if lines[0].startswith("%%"):
            continue
        assert not shared_draws("\n".join(lines))


@pytest.mark.parametrize(
    "code",
    [
        "[L.Dense(64, kernel_initializer=init{}) for _ in range(12)]",
        "def net(init):\n    return keras.layers.LSTM(1, kernel_initializer=init{})",
        "init = f\nfor _ in range(6):\n    h = Dense(6, kernel_initializer=init{})(h)",
    ],
)
def test_a_shared_draw_is_found(code):
    assert len(shared_draws(code.format(""))) == 1
    assert not shared_draws(code.format("()"))
