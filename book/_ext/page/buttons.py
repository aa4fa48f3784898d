"""Give each page its buttons: Colab, the notebook, the repository, an issue.

Without a repository (see repository.py) a page offers its notebook for download and
nothing else.
"""

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


def setup(app):
    app.connect("config-inited", set_repository)
    # The theme makes its own buttons at 501; its Colab button would open the
    # MyST source, which Colab cannot read, so _config.yml leaves that one off.
    app.connect("html-page-context", add_buttons, priority=502)
