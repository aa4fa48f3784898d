"""One style sheet, one deferred script and two small icon fonts for all pages.

The theme and its extensions load some twenty files a page, most of them in front of
the first text. Here all that every page needs becomes one file of each kind. What no
page of this book uses is left out, files by name and rules by selection.py; an inline
script that nobody has looked at stops the build.
"""

import hashlib
from pathlib import Path

import pydata_sphinx_theme
import sphinx
import sphinx_book_theme
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from sphinx.errors import ExtensionError

from page import selection

STATIC = Path(__file__).parent / "static"

#: Loaded by the theme's templates rather than by Sphinx; ours replace those.
THEME_STYLES = ("basic.css", "styles/pydata-sphinx-theme.css")
THEME_SCRIPTS = ("scripts/bootstrap.js", "scripts/pydata-sphinx-theme.js")
#: What only some pages have; they load it themselves.
APART = {"lab.css", "lab.js"}
#: Thebe runs cells on a server, the design elements are not used, and solutions
#: fold without a script (see folds.py).
UNUSED = {
    "sphinx-thebe.css",
    "sphinx-thebe.js",
    "sphinx-design.min.css",
    "design-tabs.js",
    # code is quiet here: its few marks stand in page.css
    "pygments.css",
    "togglebutton.css",
    "togglebutton.js",
}
#: Beginnings of inline scripts that belong to what is left out, and of one that
#: serves a switch between versions of a book.
UNUSED_INLINE = (
    "let toggle",
    "var togglebuttonSelector",
    "const THEBE_JS_URL",
    "DOCUMENTATION_OPTIONS.pagename",
)

#: The icons that the pages show: name and code point in Font Awesome 6.
SOLID = {
    "angle-down": 0xF107,
    "angle-left": 0xF104,
    "angle-right": 0xF105,
    "arrow-up": 0xF062,
    "bars": 0xF0C9,
    "circle-half-stroke": 0xF042,
    "download": 0xF019,
    "expand": 0xF065,
    "external-link": 0xF35D,
    "list": 0xF03A,
    "magnifying-glass": 0xF002,
    "moon": 0xF186,
    "share": 0xF064,
    "sun": 0xF185,
}
BRANDS = {"github": 0xF09B}
WEBFONTS = "vendor/fontawesome/webfonts"
ICONS = {"fa-solid-900": SOLID, "fa-brands-400": BRANDS}


def subset(source: Path, target: Path, points, edit=None) -> None:
    """Write the glyphs of some code points as a WOFF font, after an edit of it."""
    options = Options(
        layout_features=[],
        hinting=False,
        notdef_outline=True,
        glyph_names=False,
        name_IDs=[0, 1, 2, 13, 14],  # names, copyright and licence stay in
    )
    font = TTFont(source, recalcTimestamp=False)
    missing = set(points) - set(font.getBestCmap())
    if missing:
        raise ExtensionError(
            f"{source.name} has no glyph for {sorted(map(hex, missing))}"
        )
    if edit:
        edit(font)
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=points)
    subsetter.subset(font)
    # zlib; WOFF2 would need one package more for a few hundred bytes
    font.flavor = "woff"
    target.parent.mkdir(parents=True, exist_ok=True)
    font.save(target)


def theme_static() -> Path:
    folder = Path(pydata_sphinx_theme.__file__).parent
    return folder / "theme" / "pydata_sphinx_theme" / "static"


def write_icons(app) -> None:
    """Write the icon fonts, and this extension's own files beside the theme's."""
    if app.builder.format != "html":
        return
    folder = Path(app.outdir) / "_static"
    (folder / "page").mkdir(parents=True, exist_ok=True)
    for name, icons in ICONS.items():
        source = theme_static() / WEBFONTS / f"{name}.ttf"
        subset(source, folder / "page" / f"{name}.woff", icons.values())


def local(asset) -> str:
    return str(asset.filename or "").removeprefix("_static/").partition("?")[0]


def shared(found, theme, own):
    """Return the names of files that every page needs, and the assets apart."""
    names, apart = list(theme), []
    for asset in sorted(found, key=lambda asset: asset.priority):
        name = local(asset)
        body = asset.attributes.get("body") or ""
        if not name:
            if not body.startswith(UNUSED_INLINE):
                raise ExtensionError(f"page/assets.py: new inline script: {body[:60]}")
        elif "://" in name:
            raise ExtensionError(f"page/assets.py: {name} is on another host")
        elif name in APART:
            apart.append(asset)
        elif name not in UNUSED and name not in names:
            names.append(name)
    return [*names, own], apart


def key(names: list[str], state: str) -> str:
    """Return what changes with the files, for a browser that has the old ones.

    A new class in a chapter's text adds a rule and no new key: a browser that has the
    old file asks again when its time is over.
    """
    digest = hashlib.sha256("\n".join([*names, state]).encode())
    for package in (sphinx, pydata_sphinx_theme, sphinx_book_theme):
        digest.update(package.__version__.encode())
    return digest.hexdigest()[:8]


def source(folder: Path, name: str) -> Path:
    return STATIC / name if (STATIC / name).is_file() else folder / name


def use_bundles(app, pagename, templatename, context, doctree) -> None:
    """Give the page its bundles in place of the single files."""
    builder = app.builder
    css, css_apart = shared(context["css_files"], THEME_STYLES, "page.css")
    js, js_apart = shared(context["script_files"], (), "page.js")
    # Bootstrap and the theme's script come last, as in the theme's own pages.
    js = [*js[:-1], *THEME_SCRIPTS, js[-1]]
    # The style sheet of the theme finds its fonts relative to this folder.
    state = app.config.page_state
    style = f"styles/book-{key(css, state)}.css"
    script = f"scripts/book-{key(js, state)}.js"
    app.page_bundles |= {style: css, script: js}
    builder._css_files.clear()
    builder._js_files.clear()
    app.add_css_file(style)
    app.add_js_file(script, loading_method="defer")
    context["css_files"] = [*builder._css_files, *css_apart]
    context["script_files"] = [*builder._js_files, *js_apart]


def write_bundles(app, exception) -> None:
    """Put the files one after the other; the last of them are written only now."""
    if exception is not None:
        return
    folder = Path(app.outdir) / "_static"
    contents = {}
    for target, names in app.page_bundles.items():
        texts = [source(folder, name).read_text(encoding="utf-8") for name in names]
        between = "\n;\n" if target.endswith(".js") else "\n"
        contents[target] = between.join(map(without_map, texts))
    scripts = [text for target, text in contents.items() if target.endswith(".js")]
    known = selection.words([*scripts, *pages_and_their_scripts(app)])
    for target, content in contents.items():
        path = folder / target
        path.parent.mkdir(parents=True, exist_ok=True)
        if target.endswith(".css"):
            content = selection.selected(content, known)
        path.write_text(content, encoding="utf-8")


def pages_and_their_scripts(app):
    """Yield what may name a class: all pages, and the scripts that some pages have."""
    folder = Path(app.outdir)
    for path in [*folder.rglob("*.html"), *(folder / "_static").glob("*.js")]:
        if path.name not in UNUSED:
            yield path.read_text(encoding="utf-8")


def without_map(text: str) -> str:
    """Leave out the address of a source map: those are the theme's developers'."""
    lines = text.splitlines()
    return "\n".join(line for line in lines if "sourceMappingURL=" not in line)


def remove_unused(app, exception) -> None:
    """Leave out of the book what no page loads, a megabyte and a half of it."""
    if exception is not None or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    for path in (static / "scripts").glob("fontawesome.js*"):
        path.unlink()


def start(app) -> None:
    app.page_bundles = {}


def setup(app):
    app.connect("builder-inited", start)
    app.connect("builder-inited", write_icons)
    # after the theme (500) and the lab's own style and script
    app.connect("html-page-context", use_bundles, priority=900)
    # after myst-nb's style and the theme's colours of code (500)
    app.connect("build-finished", write_bundles, priority=900)
    app.connect("build-finished", remove_unused, priority=900)
