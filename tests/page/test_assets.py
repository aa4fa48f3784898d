"""What the pages load: bundles, icons, and a build that stops at what is new."""

from types import SimpleNamespace

import pytest
from sphinx.errors import ExtensionError

from built import HTML, soup
from page import assets


def asset(filename=None, priority=500, body=None):
    attributes = {"body": body} if body else {}
    return SimpleNamespace(filename=filename, priority=priority, attributes=attributes)


def test_bundle_has_all_but_what_is_apart_or_unused():
    found = [
        asset("_static/b.js?v=1", 800),
        asset("_static/a.js", 100),
        asset("_static/lab.js"),
        asset("_static/sphinx-thebe.js"),
        asset(body="const THEBE_JS_URL = 1"),
    ]
    names, apart = assets.shared(found, ("first.js",), "own.js")
    assert names == ["first.js", "a.js", "b.js", "own.js"]
    assert [one.filename for one in apart] == ["_static/lab.js"]


@pytest.mark.parametrize(
    "new", [asset(body="alert(1)"), asset("https://cdn.example.org/a.js")]
)
def test_the_unknown_stops_the_build(new):
    with pytest.raises(ExtensionError):
        assets.shared([new], (), "own.js")


def test_a_missing_glyph_stops_the_build(tmp_path):
    source = assets.theme_static() / assets.WEBFONTS / "fa-solid-900.ttf"
    with pytest.raises(ExtensionError, match="no glyph"):
        assets.subset(source, tmp_path / "icons.woff", [0xF0C9, 0xFFFE])


def test_the_fonts_of_icons_are_small():
    for name in assets.ICONS:
        assert (HTML / "_static" / "page" / f"{name}.woff").stat().st_size < 8_000


def test_one_style_sheet_and_deferred_scripts():
    for path in (HTML / "book").rglob("*.html"):
        page = soup(path)
        styles = [link["href"] for link in page.select("link[rel=stylesheet]")]
        assert sum("/book-" in style for style in styles) == 1
        assert all("/book-" in s or "/lab.css" in s for s in styles)
        scripts = page.select("script[src]")
        assert all(script.has_attr("defer") for script in scripts)
        assert len(page.select("meta[name=viewport]")) == 1
    assert not list((HTML / "_static" / "scripts").glob("fontawesome*"))
