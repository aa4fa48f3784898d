"""Run the pages again when the code that they import has changed.

jupyter-cache recognizes a page by its code cells alone. A change in
`src/coursekit` or in the installed versions would leave old outputs on the pages, so
each state of these files has a cache of its own. Sphinx reads all pages again when
the path of the cache changes: myst-nb registers `nb_execution_cache_path` for that.

Notebooks are executed before Sphinx reads them, some at a time; reading, which would
execute one after the other, then finds their outputs.
"""

import hashlib
import os
import shutil
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from myst_nb.core.read import create_nb_reader
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.util.display import status_iterator

KEPT = 2
# Each kernel holds about a gigabyte.
AT_ONCE = min(4, os.cpu_count() or 1)


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


def unknown_notebooks(env, docnames, cache) -> dict:
    """Return the pages' notebooks that the cache does not have, by path."""
    found = {}
    for path in map(env.doc2path, docnames):
        text = Path(path).read_text(encoding="utf-8")
        reader = create_nb_reader(path, env.myst_config, env.mystnb_config, text)
        if reader is None:
            continue
        notebook = reader.read(text)
        try:
            cache.match_cache_notebook(notebook)
        except KeyError:
            found[path] = notebook
    return found


def executed(notebook, folder, timeout):
    """Return a notebook with its outputs and the seconds it took; None if it failed."""
    result = single_nb_execution(
        notebook, cwd=folder, timeout=timeout, allow_errors=False
    )
    return (result.nb, result.time) if result.err is None else None


def execute_ahead(app, env, docnames) -> None:
    """Execute notebooks side by side, and keep those that succeed.

    One that fails, or whose kernel dies, is executed again when its page is read,
    which tells of it.
    """
    config = env.mystnb_config
    if config.execution_mode != "cache":
        return
    cache = get_cache(config.execution_cache_path)
    found = unknown_notebooks(env, docnames, cache)
    if not found:
        return
    # TensorFlow takes all of a GPU's memory otherwise, and the next kernel finds none
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    # processes, and no threads: an interrupt reaches each, and ends its kernel
    pool = ProcessPoolExecutor(min(AT_ONCE, len(found)))
    try:
        paths = {
            pool.submit(
                executed, notebook, str(Path(path).parent), config.execution_timeout
            ): path
            for path, notebook in found.items()
        }
        for done in status_iterator(
            as_completed(paths),
            "executing notebooks... ",
            length=len(paths),
            verbosity=app.verbosity,
            stringify_func=lambda future: Path(paths[future]).stem,
        ):
            if done.exception() is None and done.result() is not None:
                notebook, seconds = done.result()
                data = {"execution_seconds": seconds}
                bundle = CacheBundleIn(notebook, paths[done], data=data)
                cache.cache_notebook_bundle(
                    bundle, check_validity=False, overwrite=True
                )
    finally:
        pool.shutdown(cancel_futures=True)


def setup(app):
    app.connect("env-before-read-docs", execute_ahead)
    app.connect("config-inited", set_cache_path)
    app.connect("env-get-outdated", failed_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
