"""Give each page its buttons: Colab, the notebook, the repository, an issue.

Without a repository (see repository.py) a page offers its notebook for download and
nothing else. ``{notebook}`name` `` says so in a sentence.
"""

from html import escape

from docutils import nodes
from sphinx.util.docutils import SphinxRole
from sphinx.util.osutil import relative_uri

from notebooks.targets import page_of
from repository import repository

# The branch and the folder that .github/workflows/publish.yml writes.
COLAB = "https://colab.research.google.com/github/{name}/blob/gh-pages/{path}"


def set_repository(app, config) -> None:
    """Tell the theme of the repository, or that there is none."""
    name = repository(config)
    config.html_theme_options = {
        **config.html_theme_options,
        "repository_url": f"https://github.com/{name}" if name else "",
        "use_repository_button": bool(name),
        "use_issues_button": bool(name),
        # The page's MyST source; or its notebook, with the solutions unfolded.
        "use_download_button": False,
    }


def buttons(page: str, name: str, pathto) -> list[dict]:
    """Return the buttons of a page that has a notebook, for the theme."""
    path = f"notebooks/{page}.ipynb"
    colab = {
        "type": "link",
        "url": COLAB.format(name=name, path=path),
        "text": "Colab",
        "tooltip": "Open this page's notebook in Colab",
        "label": "colab-button",
    }
    download = {
        "type": "link",
        "url": pathto(path, 1),
        "tooltip": "Download this page's notebook",
        "icon": "fas fa-download",
        "label": "download-notebook-button",
    }
    return [colab, download] if name else [download]


def add_buttons(app, pagename, templatename, context, doctree) -> None:
    page = page_of(app.env, pagename)
    if page:
        added = buttons(page, repository(app.config), context["pathto"])
        context["header_buttons"] = added + context["header_buttons"]


class notebook_link(nodes.Inline, nodes.Element):  # noqa: N801, docutils' own style
    """Where a sentence leads to a notebook; known when the repository is."""


class Notebook(SphinxRole):
    """Read ``{notebook}`vanishing` ``: a sentence of its own."""

    def run(self):
        return [notebook_link(page=self.text)], []


def visit_notebook(self, node) -> None:
    """Say how to get it: in Colab where a repository is known, or as a file."""
    builder = self.builder
    path = f"notebooks/{node['page']}.ipynb"
    here = builder.get_target_uri(builder.current_docname)
    links = [(relative_uri(here, path), "download it")]
    if name := repository(builder.config):
        links.insert(0, (COLAB.format(name=name, path=path), "open it in Colab"))
    words = " or ".join(f'<a href="{escape(uri)}">{text}</a>' for uri, text in links)
    # paper opens nothing
    self.body.append(f'<span class="screen-only">To try the first, {words}.</span>')
    raise nodes.SkipNode


def setup(app):
    app.add_role("notebook", Notebook())
    app.add_node(notebook_link, html=(visit_notebook, None))
    app.connect("config-inited", set_repository)
    # The theme makes its own buttons at 501; its Colab button would open the
    # MyST source, which Colab cannot read, so _config.yml leaves that one off.
    app.connect("html-page-context", add_buttons, priority=502)
