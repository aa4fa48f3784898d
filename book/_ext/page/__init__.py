"""The page people read: light, without a third party, readable without JavaScript.

Everything that hangs on the theme's own HTML is in this folder, one idea a module:

``assets``      one style sheet, one deferred script, two small icon fonts
``maths``       formulas as MathML, made when the book is built
``figures``     sizes of pictures; SVG that follow the theme's light and dark
``folds``       solutions that open without a script
``glossary``    what a term means, shown on hover and on focus
``references``  entries of the bibliography
``buttons``     Colab, the notebook, the repository, an issue
``head``        description, social card, sitemap, the page for lost readers
``chapter``     how far through the course a page is

The templates override the theme's by name. ``tests/page/test_*.py`` load every page
in a browser: an update of the theme that undoes one of these turns them red.
"""

import hashlib
from pathlib import Path

from . import (
    assets,
    buttons,
    chapter,
    figures,
    folds,
    glossary,
    head,
    maths,
    references,
)

FOLDER = Path(__file__).parent
MODULES = (assets, maths, figures, folds, glossary, references, head, chapter, buttons)


def own_state(app, config) -> None:
    """Write all pages again when a file of this folder has changed."""
    digest = hashlib.sha256()
    for path in sorted(path for path in FOLDER.rglob("*.*") if path.is_file()):
        if path.suffix in {".py", ".html", ".css", ".js"}:
            digest.update(path.read_bytes())
    config.page_state = digest.hexdigest()


def use_templates(app, config) -> None:
    """Let Sphinx look here first; the path must not depend on the folder of conf."""
    config.templates_path = [str(FOLDER / "templates"), *config.templates_path]


def setup(app):
    app.add_config_value("page_state", "", "html", [str])
    app.connect("config-inited", own_state)
    app.connect("config-inited", use_templates)
    for module in MODULES:
        module.setup(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
