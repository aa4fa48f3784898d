"""Debian's Chromium and a local server, for the tests of the pages and the lab."""

import functools
import http.server
import os
import threading
from contextlib import ExitStack, contextmanager
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
#: What ends a browser that is to stay.
_staying = []


@contextmanager
def stays():
    """Let a browser that is started meanwhile run until the end of this."""
    with ExitStack() as stack:
        _staying.append(stack)
        try:
            yield
        finally:
            _staying.pop()


@contextmanager
def chromium():
    """Start the browser, or skip the test with the name of what to install.

    Inside of another `chromium()` it is the same browser, as it is inside of `stays()`.
    """
    with ExitStack() as stack:
        if not _running:
            (_staying or [stack])[-1].enter_context(_start())
        yield _running[0]


@contextmanager
def _start():
    path = executable()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        unavailable("no driver for the browser: install pytest-playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=names.FLAGS)
        _running.append(browser)
        try:
            yield
        finally:
            _running.clear()
            browser.close()


class Contexts:
    """Contexts of a browser that tests share, one for each set of options.

    A new one has a process of its own and an empty cache: half of what a page costs.
    """

    def __init__(self, started):
        self.started, self.made, self.pages = started, {}, []

    def page(self, **options):
        """Return a new page in the context that has these options."""
        key = repr(sorted(options.items()))
        if key not in self.made:
            self.made[key] = self.started.new_context(**options)
        self.pages.append(self.made[key].new_page())
        return self.pages[-1]

    def leave(self):
        """Close the pages, and forget what they have stored for the next ones."""
        for page in self.pages:
            page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
            page.close()
        self.pages.clear()


def axe():
    """Return axe's rules for accessibility, ready to run on a page."""
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        unavailable("no rules for accessibility: install axe-playwright-python")
    return Axe()


#: Figures without their lines, and of the texts that look alike all but three are
#: marked: axe would compare the same two colours again. The other words of code, and
#: of the API's lists, become plain text, which spares the other rules an element.
THIN = """() => {
  for (const e of document.querySelectorAll("[data-alike]")) delete e.dataset.alike;
  const codes = [...document.querySelectorAll("pre, code, dl.py, svg.figure")];
  window.whole = codes.map((code) => {
    const thin = code.cloneNode(true);
    code.replaceWith(thin);
    return [thin, code];
  });
  for (const line of document.querySelectorAll("svg.figure :is(path, use)")) {
    line.remove();
  }
  // what is painted behind a text; a box that lies freely has a ground of its own
  const grounds = new Map([[document.documentElement, ""]]), looks = new Map();
  const ground = (e) => {
    if (!grounds.has(e)) {
      const { backgroundColor, backgroundImage, opacity, float, position } =
        getComputedStyle(e);
      const free = float !== "none" || !/static|relative/.test(position);
      const own = [backgroundColor, backgroundImage, opacity, free && grounds.size];
      const plain = "rgba(0, 0, 0, 0),none,1,false";
      grounds.set(e, ground(e.parentElement) + (`${own}` === plain ? "" : own));
    }
    return grounds.get(e);
  };
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE);
    const length = own.map((node) => node.data.trim()).join("").length;
    if (!length || !e.checkVisibility()) continue;
    const { color, fontSize, fontWeight, textShadow } = getComputedStyle(e);
    const look = [ground(e), color, fontSize, fontWeight, textShadow].join();
    if (!looks.has(look)) looks.set(look, []);
    looks.get(look).push([length, e]);
  }
  for (const alike of looks.values()) {
    // the longest stay, for axe looks at no single letter
    alike.sort(([one], [other]) => other - one);
    for (const [, e] of alike.splice(3)) e.dataset.alike = "";
  }
  const judged = new Set([...looks.values()].flat().map(([, e]) => e));
  const words = "pre span:not(.long), code span, dl.py :is(span, em, strong)";
  for (const word of [...document.querySelectorAll(words)].reverse()) {
    if (judged.has(word) || word.children.length) continue;
    word.replaceWith(...word.childNodes);
  }
}"""
JUDGE = """(options) => {
  const selector = ":not([data-alike])";
  axe.configure({ rules: [{ id: "color-contrast", selector }] });
  return axe.run(options).then((found) => found.violations);
}"""
WHOLE = "() => { for (const [thin, code] of window.whole) thin.replaceWith(code); }"


def violations(axe, page, options):
    """Return what breaks axe's rules on a page of the book, each with its place.

    Axe compares the colours of each element that has text. A chapter has five
    thousand in some fifty looks, which would take most of axe's time.
    """
    if page.evaluate("!window.axe"):
        page.evaluate(axe.axe_script)
    page.evaluate(THIN)
    found = page.evaluate(JUDGE, options)
    page.evaluate(WHOLE)
    return [
        f"{v['id']}: {node['target']} {node['html'][:150]}"
        for v in found
        for node in v["nodes"][:3]
    ]


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
