"""Debian's Chromium and a local server, for the tests of the pages and the lab."""

import functools
import http.server
import os
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

import chromium as names


def unavailable(reason):
    """Skip, or fail where everything must be there."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}, and CI is set", pytrace=False)
    pytest.skip(reason)


def executable():
    """Return the browser's path, or skip the test with what to install."""
    return names.executable() or unavailable(names.MISSING)


#: The browser that runs: Playwright allows one of its kind in a process.
_running = []


@contextmanager
def chromium():
    """Start the browser, or skip the test with the name of what to install.

    Inside of another `chromium()` it is the same browser.
    """
    if _running:
        yield _running[0]
        return
    path = executable()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        unavailable("no driver for the browser: install pytest-playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=names.FLAGS)
        _running.append(browser)
        try:
            yield browser
        finally:
            _running.clear()
            browser.close()


def axe():
    """Return axe's rules for accessibility, ready to run on a page."""
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        unavailable("no rules for accessibility: install axe-playwright-python")
    return Axe()


class _Files(http.server.SimpleHTTPRequestHandler):
    """Files of a folder below a path, as GitHub publishes a repository's pages."""

    def __init__(self, *args, below, **options):
        self.below = below
        super().__init__(*args, **options)

    def translate_path(self, path):
        return super().translate_path(path.removeprefix(self.below))

    def log_message(self, *args):
        """Say nothing: the tests look at the answers."""


@contextmanager
def server(folder: Path, below: str = ""):
    """Serve a folder on this machine; yields its address, which ends in a slash."""
    handler = functools.partial(_Files, directory=str(folder), below=below)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{served.server_port}{below}/"
        finally:
            served.shutdown()
            thread.join()
