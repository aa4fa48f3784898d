"""One browser for the tests of a file: its start takes as long as a page."""

import pytest

import browser
from built import HTML


@pytest.fixture(autouse=True, scope="module")
def _browser_stays():
    with browser.stays():
        yield


@pytest.fixture(scope="module")
def desk():
    """The book's address, and contexts in which its files stay in the cache."""
    with browser.server(HTML) as address, browser.chromium() as chromium:
        yield address, browser.Contexts(chromium)


@pytest.fixture
def visit(desk):
    address, contexts = desk

    def visit(path, **options):
        page = contexts.page(**options)
        page.goto(address + path)
        return page

    yield visit
    contexts.leave()
