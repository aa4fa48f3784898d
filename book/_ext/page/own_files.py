"""This folder's own files: its templates come first, a change makes all pages anew."""

import hashlib
from pathlib import Path

from page.glossary import GLOSSARY
from page.verdicts import LEDGER

FOLDER = Path(__file__).parent
KINDS = {".py", ".html", ".css", ".js"}


def note_state(app, config) -> None:
    """Write all pages again when a file of this folder has changed, or one for all.

    The ledger and the glossary stand in parts of other pages.
    """
    digest = hashlib.sha256()
    for page in (LEDGER, GLOSSARY):
        path = Path(app.srcdir, f"{page}.md")
        if path.is_file():
            digest.update(path.read_bytes())
    for path in sorted(path for path in FOLDER.rglob("*.*") if path.is_file()):
        if path.suffix in KINDS:
            digest.update(path.read_bytes())
    config.page_state = digest.hexdigest()


def use_templates(app, config) -> None:
    """Let Sphinx look here first; the path must not depend on the folder of conf."""
    config.templates_path = [str(FOLDER / "templates"), *config.templates_path]


def setup(app):
    app.add_config_value("page_state", "", "html", [str])
    app.connect("config-inited", note_state)
    app.connect("config-inited", use_templates)
