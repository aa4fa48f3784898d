"""Run the pages again when the code that they import has changed.

jupyter-cache recognizes a page by its code cells alone. A change in
`src/coursekit` or in the installed versions would leave old outputs on the pages, so
each state of these files has a cache of its own. Sphinx reads all pages again when
the path of the cache changes: myst-nb registers `nb_execution_cache_path` for that.
"""

import hashlib
import os
import shutil
from pathlib import Path

from myst_nb.sphinx_ import NbMetadataCollector

KEPT = 2


def cache_key(root: Path) -> str:
    """Return a hash of everything but the page that outputs depend on."""
    files = [root / "requirements.txt"]
    for pattern in ("*.py", "*.mplstyle"):
        files += (root / "src" / "coursekit").rglob(pattern)
    files = [path for path in files if path.is_file()]
    digest = hashlib.sha256()
    for path in sorted(files):
        content = path.read_bytes()
        # The length keeps two files from passing for one.
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def prune(folder: Path, current: str, kept: int = KEPT) -> None:
    """Remove the caches of other keys, except for the newest ones."""
    if not folder.is_dir():
        return
    others = [p for p in folder.iterdir() if p.is_dir() and p.name != current]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[kept:]:
        shutil.rmtree(path)


def set_cache_path(app, config) -> None:
    root = Path(app.confdir)
    folder = root / "_build" / ".execution_cache"
    key = cache_key(root)
    path = folder / key
    path.mkdir(parents=True, exist_ok=True)
    # The order of the folders is that of their last use.
    os.utime(path)
    prune(folder, key)
    config.nb_execution_cache_path = str(path)


def failed_pages(app, env, added, changed, removed) -> list[str]:
    """Read pages again that failed, or the next build would pass in silence."""
    failed = []
    for docname in env.found_docs - added - changed - removed:
        data = NbMetadataCollector.get_exec_data(env, docname)
        if data and not data["succeeded"]:
            failed.append(docname)
    return failed


def setup(app):
    app.connect("config-inited", set_cache_path)
    app.connect("env-get-outdated", failed_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
