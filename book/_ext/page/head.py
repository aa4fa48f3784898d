"""What a page says of itself: description, card, address; the pages for 404 and /.

Addresses must be whole in cards, sitemaps and canonical links. They are known when
the repository is (see repository.py): GitHub publishes ``owner/name`` as
``https://owner.github.io/name/``. ``html: baseurl:`` in `_config.yml` comes first.
"""

import re
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

from docutils import nodes

from repository import pages

STATIC = Path(__file__).parent / "static"
#: Longer descriptions are cut by search engines.
LONGEST = 160
CARD = (1200, 630)
#: The dark colours, for a page that no script can tell what the system wants.
DARK = re.search(
    r'html\[data-theme="dark"\] \{ (--paper.*?) \}',
    (STATIC / "page.css").read_text(encoding="utf-8"),
    re.DOTALL,
)[1]
LOST = """<section id="lost"><h1>This page is not here</h1>
<p>Its address has changed, or the link to it has a fault.</p>
<ul><li><a href="{start}">Start of the course</a></li>
<li><a href="{search}">Search</a></li></ul></section>"""


def set_address(app, config) -> None:
    config.html_baseurl = pages(config)
    config.html_favicon = str(STATIC / "favicon.svg")
    config.html_theme_options = {
        **config.html_theme_options,
        # a place for advertisements
        "primary_sidebar_end": [],
    }


def description(doctree) -> str:
    """Return the page's own description, or the first words of its text."""
    if doctree is None:
        return ""
    for node in doctree.findall(nodes.meta):
        if node.get("name") == "description":
            return node["content"]
    for paragraph in doctree.findall(nodes.paragraph):
        # that of an admonition says what one will be able to do
        if isinstance(paragraph.parent, nodes.section):
            return shortened(spoken(paragraph))
    return ""


def spoken(paragraph) -> str:
    """Return a text without its formulas, which are TeX here."""
    copy = paragraph.deepcopy()
    for formula in list(copy.findall(nodes.math)):
        formula.parent.remove(formula)
    return " ".join(copy.astext().split())


def shortened(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return text[: LONGEST - 1].rpartition(" ")[0].rstrip(",;:") + "…"


def add_head(app, pagename, templatename, context, doctree) -> None:
    # Sphinx has put one viewport here, and the theme's template another; ours has one.
    context["metatags"] = ""
    # Colours without a script; with one, layout.html asks the system or the reader.
    context["default_mode"] = "light"
    context["dark_tokens"] = DARK
    known = context.get("description") or description(doctree)
    context["description"] = known or context["docstitle"]
    base = app.config.html_baseurl
    context["card_url"] = f"{base}_static/page/card.png" if base else ""
    context["card_size"] = CARD
    # Any address can be lost: from there, links must not count from its folder.
    lost = pagename == "404" and base
    context["base_path"] = urlsplit(base).path + "404.html" if lost else ""


def lost_page(app):
    """Yield the page that GitHub shows for an address that is not there."""
    uri = app.builder.get_relative_uri
    start, search = uri("404", app.config.root_doc), "search.html"
    body = LOST.format(start=start, search=search)
    yield "404", {"title": "Not found", "body": body}, "page.html"


def root_page(app):
    """Yield what stands at the book's address, and leads on to its first page."""
    first = app.config.root_doc
    base = app.config.html_baseurl
    address = base + app.builder.get_target_uri(first) if base else ""
    context = {
        "title": app.config.html_title,
        "first": app.builder.get_relative_uri("index", first),
        "canonical": address,
        "description": description(app.env.get_doctree(first)),
    }
    yield "index", context, "root.html"


def write_card(app) -> None:
    """Draw the picture that a link to the book shows elsewhere."""
    if app.builder.format != "html" or not app.config.html_baseurl:
        return
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=[pixels / 100 for pixels in CARD], dpi=100)
    figure.set_facecolor("#121212")
    axes = figure.add_axes((0.52, 0.14, 0.42, 0.72))
    layers = np.arange(1, 21)
    for gain, colour in ((0.6, "#56b4e9"), (1.0, "#ffffff"), (1.6, "#f0a030")):
        axes.plot(layers, gain ** (20 - layers), "o-", color=colour, markersize=5)
    axes.set(yscale="log", xticks=[], yticks=[], facecolor="#121212")
    axes.minorticks_off()
    axes.spines[:].set_visible(False)
    title = app.config.html_title.replace(" and ", " and\n", 1)
    style = {"color": "#ffffff", "va": "center", "linespacing": 1.4}
    figure.text(0.06, 0.56, title, fontsize=34, weight="bold", **style)
    figure.text(0.06, 0.30, "Every claim measured in the page", fontsize=20, **style)
    target = Path(app.outdir) / "_static" / "page" / "card.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Software": None})


def write_sitemap(app, exception) -> None:
    base = app.config.html_baseurl
    if exception is not None or app.builder.format != "html" or not base:
        return
    namespace = "http://www.sitemaps.org/schemas/sitemap/0.9"
    pages = ET.Element("urlset", xmlns=namespace)
    for page in sorted(app.env.found_docs):
        location = ET.SubElement(ET.SubElement(pages, "url"), "loc")
        location.text = base + app.builder.get_target_uri(page)
    tree = ET.ElementTree(pages)
    ET.indent(tree)
    path = Path(app.outdir) / "sitemap.xml"
    tree.write(path, encoding="utf-8", xml_declaration=True)


def setup(app):
    app.connect("config-inited", set_address)
    app.connect("builder-inited", write_card)
    app.connect("html-collect-pages", lost_page)
    app.connect("html-collect-pages", root_page)
    app.connect("html-page-context", add_head)
    app.connect("build-finished", write_sitemap)
