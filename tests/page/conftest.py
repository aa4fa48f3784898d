"""One browser for the tests of a file: its start takes as long as a page."""

import pytest

import browser


@pytest.fixture(autouse=True, scope="module")
def _browser_stays():
    with browser.stays():
        yield
