"""The directive `{lab}`: a place where the page runs a network by itself.

    ```{lab} vanishing
    {numref}`fig-vanishing-delta` shows the same experiment.
    ```

The argument names a preset of `lab/presets.yml`; the content, a sentence or a
figure, stands there without JavaScript and in print. Script and style are loaded
by pages that have a lab, and by no others.
"""

from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from lab import bundle

#: The page of the full lab, that the others link to.
PAGE = "book/lab"


class lab_place(nodes.General, nodes.Element):  # noqa: N801, docutils' own style
    """Holds the preset's name and title; its children stand in for the lab."""


class Lab(SphinxDirective):
    """Read `{lab}`."""

    required_arguments = 1
    has_content = True

    def run(self):
        name, presets = self.arguments[0], bundle.presets()
        if name not in presets:
            known = ", ".join(presets)
            raise self.error(f"no preset {name!r} in presets.yml, which has {known}")
        if not self.content:
            raise self.error(
                "the lab has no content: give the sentence or the figure that stands "
                "there without JavaScript and in print"
            )
        node = lab_place(preset=name, title=presets[name]["title"])
        self.set_source_info(node)
        self.env.note_dependency(str(bundle.FOLDER / "presets.yml"))
        self.state.nested_parse(self.content, self.content_offset, node)
        return [node]


def visit(translator, node):
    builder = translator.builder
    full = builder.get_relative_uri(builder.current_docname, PAGE)
    title = f"lab-{node['preset']}"
    translator.body.append(
        f'<section class="lab" data-preset="{escape(node["preset"])}" '
        f'data-full="{escape(full)}" aria-labelledby="{title}">\n'
        f'<p class="lab-title" id="{title}">{escape(node["title"])}</p>\n'
        '<div class="lab-fallback">\n'
        "<noscript><p>Here a small network runs in the page, if JavaScript is on."
        "</p></noscript>\n"
    )


def depart(translator, node):
    translator.body.append("</div>\n</section>\n")


def skip(translator, node):
    """Other formats show what stands in for the lab."""


def write_assets(app):
    """Write script and style where the pages look for them."""
    if app.builder.format != "html":
        return
    folder = Path(app.outdir) / "_static"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lab.js").write_text(bundle.script(), encoding="utf-8")
    (folder / "lab.css").write_text(bundle.style(), encoding="utf-8")


def add_assets(app, pagename, templatename, context, doctree):
    """Load them on this page only; Sphinx forgets them for the next one."""
    if doctree is not None and next(doctree.findall(lab_place), None) is not None:
        app.add_js_file("lab.js", loading_method="defer")
        app.add_css_file("lab.css")


def setup(app):
    app.add_node(
        lab_place,
        html=(visit, depart),
        latex=(skip, skip),
        text=(skip, skip),
        man=(skip, skip),
        texinfo=(skip, skip),
    )
    app.add_directive("lab", Lab)
    app.connect("builder-inited", write_assets)
    app.connect("html-page-context", add_assets)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
