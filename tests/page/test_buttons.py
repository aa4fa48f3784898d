"""The buttons of the pages, with and without a repository."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from built import soup
from page import buttons

ROOT = Path(__file__).parents[2]
COLAB = "https://colab.research.google.com/github/owner/name/blob/gh-pages/"


def configuration(url=""):
    return SimpleNamespace(html_theme_options={"repository_url": url})


@pytest.fixture
def no_variable(monkeypatch):
    """Forget the repository of the runner that the tests run on."""
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)


@pytest.mark.usefixtures("no_variable")
def test_no_repository():
    config = configuration()
    buttons.set_repository(None, config)
    options = config.html_theme_options
    assert options["repository_url"] == ""
    assert not options["use_repository_button"] and not options["use_issues_button"]


def test_variable_comes_first(monkeypatch):
    monkeypatch.setenv("GITHUB_REPOSITORY", "a/fork")
    config = configuration("https://github.com/owner/name")
    buttons.set_repository(None, config)
    assert config.html_theme_options["repository_url"] == "https://github.com/a/fork"


def build(folder: Path, repository: str) -> Path:
    """Render the book again, as it was last read, with another repository."""
    old, new = ROOT / "_build", folder / "_build"
    assert (old / ".doctrees").is_dir(), "no book: run `make book` first"
    shutil.copytree(old / ".doctrees", new / ".doctrees")
    # A fork may name itself in the configuration.
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert "url" in config["repository"]
    config["repository"]["url"] = ""
    extensions = config["sphinx"]["local_extensions"]
    for extension, place in extensions.items():
        extensions[extension] = str(ROOT / place)
    # Sphinx reads all pages again when the extensions come in another order.
    text = yaml.safe_dump(config, sort_keys=False)
    (folder / "_config.yml").write_text(text, encoding="utf-8")
    command = [Path(sys.executable).with_name("jupyter-book"), "build", ROOT]
    command += ["--config", folder / "_config.yml", "--path-output", folder]
    command += ["-W", "--keep-going"]
    environment = os.environ | {"GITHUB_REPOSITORY": repository, "GITHUB_SHA": "abc"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    return new


@pytest.fixture(scope="module")
def with_repository(tmp_path_factory):
    return build(tmp_path_factory.mktemp("with"), "owner/name")


@pytest.fixture(scope="module")
def without_repository(tmp_path_factory):
    """The book itself, where it was built without one."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    if not (os.environ.get("GITHUB_REPOSITORY") or config["repository"]["url"]):
        assert (ROOT / "_build/html").is_dir(), "no book: run `make book` first"
        return ROOT / "_build"
    return build(tmp_path_factory.mktemp("without"), "")


def header_links(html: Path) -> dict[str, list[str]]:
    """Return the links among each page's buttons."""
    links = {}
    for path in html.rglob("*.html"):
        page = path.relative_to(html).with_suffix("").as_posix()
        buttons = soup(path).select(".article-header-buttons a")
        links[page] = [button["href"] for button in buttons]
    return links


def pages_with_code() -> set[str]:
    pages = (ROOT / "book").rglob("*.md")
    code = (page for page in pages if "{code-cell}" in page.read_text("utf-8"))
    return {page.relative_to(ROOT).with_suffix("").as_posix() for page in code}


def test_each_notebook_opens_in_colab(with_repository):
    """What Colab opens is a file of `_build/html`, published as gh-pages."""
    html = with_repository / "html"
    found = {}
    for page, links in header_links(html).items():
        colab = [link for link in links if "colab" in link]
        if colab:
            (found[page],) = colab
    assert found.keys() == {page for page in pages_with_code() if in_book(html, page)}
    assert found
    for page, link in found.items():
        path = link.removeprefix(COLAB)
        assert path == f"notebooks/{page.removeprefix('book/')}.ipynb"
        notebook = json.loads((html / path).read_text(encoding="utf-8"))
        assert "owner/name" in "".join(notebook["cells"][0]["source"])


def in_book(html: Path, page: str) -> bool:
    """Tell whether _toc.yml has the page."""
    return (html / f"{page}.html").is_file()


def test_the_first_page_leads_to_a_notebook(with_repository, without_repository):
    links = {}
    for built in (with_repository, without_repository):
        page = soup(built / "html" / "book" / "index.html")
        assert "make notebooks" not in page.get_text()
        links[built] = [a["href"] for a in page.select(".screen-only a")]
    file = "../notebooks/vanishing.ipynb"
    assert links[without_repository] == [file]
    assert links[with_repository] == [f"{COLAB}notebooks/vanishing.ipynb", file]


def test_repository_and_issue_links(with_repository):
    for page, links in header_links(with_repository / "html").items():
        if not page.startswith("book/"):  # the search, the index
            continue
        github = [link for link in links if "//github.com" in link]
        assert github[0] == "https://github.com/owner/name"
        assert github[1].startswith("https://github.com/owner/name/issues/new?")
        assert len(github) == 2


def test_no_links_without_repository(without_repository):
    for page, links in header_links(without_repository / "html").items():
        assert not [link for link in links if "//" in link], page
    for path in (without_repository / "html").rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "colab.research" not in text and "executablebooks" not in text


@pytest.mark.parametrize("kind", ["with_repository", "without_repository"])
def test_download_is_the_plain_notebook(kind, request):
    built = request.getfixturevalue(kind)
    html = built / "html"
    found = set()
    for page, links in header_links(html).items():
        for link in links:
            if link.endswith(".ipynb") and "colab" not in link:
                found.add((html / page).parent.joinpath(link).resolve())
    copies = {path.resolve() for path in html.rglob("*.ipynb")}
    assert found == copies and copies
    for path in copies:
        made = built / "notebooks" / path.relative_to((html / "notebooks").resolve())
        assert path.read_bytes() == made.read_bytes()
    # No other source with the solutions in the open.
    assert not (html / "_sources").exists() and not list(html.rglob("*.md"))


def test_first_cell_without_repository(without_repository):
    for path in (without_repository / "notebooks").rglob("*.ipynb"):
        first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]
        assert "course's folder" in "".join(first) and "github" not in "".join(first)


def test_addresses_are_whole_when_the_repository_is_known(with_repository):
    html, base = with_repository / "html", "https://owner.github.io/name/"
    sitemap = (html / "sitemap.xml").read_text(encoding="utf-8")
    assert f"<loc>{base}book/vanishing.html</loc>" in sitemap
    page = soup(html / "book/vanishing.html")
    assert (
        page.select_one("link[rel=canonical]")["href"] == f"{base}book/vanishing.html"
    )
    card = page.select_one("meta[property='og:image']")["content"]
    picture = (html / card.removeprefix(base)).read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) < 100_000
    lost = soup(html / "404.html")
    # shown at any address of the site: its links must not count from there
    assert lost.select_one("base")["href"] == "/name/404.html"


def test_no_address_is_made_up_without_repository(without_repository):
    html = without_repository / "html"
    assert not (html / "sitemap.xml").exists()
    for name in ("404.html", "book/vanishing.html"):
        page = soup(html / name)
        absent = "base, link[rel=canonical], meta[property='og:image']"
        assert not page.select(absent)
