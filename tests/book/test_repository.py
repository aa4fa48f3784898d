"""The one setting that names the repository."""

from types import SimpleNamespace

import pytest
from sphinx.errors import ExtensionError

from repository import pages, repository


def configuration(url=""):
    return SimpleNamespace(html_theme_options={"repository_url": url})


@pytest.fixture
def no_variable(monkeypatch):
    """Forget the repository of the runner that the tests run on."""
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)


@pytest.mark.usefixtures("no_variable")
@pytest.mark.parametrize("end", ["", "/", ".git"])
def test_repository_of_the_configuration(end):
    config = configuration(f"https://github.com/owner/na.me{end}")
    assert repository(config) == "owner/na.me"


@pytest.mark.usefixtures("no_variable")
def test_no_repository():
    assert repository(configuration()) == ""


def test_variable_comes_first(monkeypatch):
    monkeypatch.setenv("GITHUB_REPOSITORY", "a/fork")
    assert repository(configuration("https://github.com/owner/name")) == "a/fork"


@pytest.mark.parametrize("name", ["fork", "a/fork/", "a/b/c", 'a/b"\nimport os', "a/é"])
def test_wrong_variable(monkeypatch, name):
    monkeypatch.setenv("GITHUB_REPOSITORY", name)
    with pytest.raises(ExtensionError, match="not owner/name"):
        repository(configuration())


@pytest.mark.usefixtures("no_variable")
def test_wrong_address():
    with pytest.raises(ExtensionError, match="not https://github.com/owner/name"):
        repository(configuration("https://example.org/owner/name"))


@pytest.mark.usefixtures("no_variable")
@pytest.mark.parametrize(
    ("name", "own", "address"),
    [
        ("Owner/course", "", "https://owner.github.io/course/"),
        ("owner/Owner.github.io", "", "https://owner.github.io/"),
        ("owner/course", "https://example.org/book", "https://example.org/book/"),
        ("", "https://example.org/", "https://example.org/"),
        ("", "", ""),
    ],
)
def test_address_of_the_published_book(name, own, address):
    config = configuration(f"https://github.com/{name}" if name else "")
    config.html_baseurl = own
    assert pages(config) == address
