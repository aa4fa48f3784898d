"""Print the whole book as one PDF, out of the pages that `make book` has built.

    python scripts/pdf.py        writes _build/book.pdf

The articles follow each other in one page, without scripts: a lab's place shows its
figure, solutions are open. Links between pages lead to the place in the PDF.
"""

import copy
import posixpath
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

import chromium

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build" / "html"
TARGET = ROOT / "_build" / "book.pdf"
FIRST = "book/index.html"
FLAGS = [
    *chromium.FLAGS,
    "--headless",
    "--no-pdf-header-footer",
    "--generate-pdf-document-outline",
]
STYLE = """
@page { size: A4; margin: 18mm 20mm 20mm;
  @bottom-center { content: counter(page); font: 9pt sans-serif; } }
@page :first { @bottom-center { content: none; } }
body { font-size: 10.5pt; }
article { break-before: page; padding: 0 !important; max-width: none !important; }
article:first-of-type { break-before: auto; }
"""


def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def pages() -> list[str]:
    """Return the pages in the order of the table of contents."""
    links = soup(HTML / FIRST).select(".bd-docs-nav a.internal")
    folder = posixpath.dirname(FIRST)
    return [FIRST, *(posixpath.normpath(f"{folder}/{a['href']}") for a in links)]


def anchor(page: str, fragment: str = "") -> str:
    """Return an id that is the only one in the whole book."""
    return f"{page.removesuffix('.html')}:{fragment}".replace("/", "-")


def article(page: str, known: set[str]):
    """Return a page's article with addresses and ids that hold in the one page."""
    found = soup(HTML / page).select_one("article.bd-article")
    if found is None:
        sys.exit(f"{page} has no article: was the theme changed?")
    folder = posixpath.dirname(page)
    for tag in found.find_all(id=True):
        # those of a figure are the only ones of the book; see page/figures.py
        if not tag.find_parent("svg"):
            tag["id"] = anchor(page, tag["id"])
    for tag in found.find_all("img"):
        tag["src"] = "html/" + posixpath.normpath(f"{folder}/{tag['src']}")
        # on paper all are in sight
        del tag["loading"]
    for tag in found.find_all("a", href=True):
        url = urlsplit(tag["href"])
        target = posixpath.normpath(posixpath.join(folder, url.path))
        target = target if url.path else page
        if url.scheme or url.netloc:
            continue
        if target in known:
            tag["href"] = "#" + anchor(target, unquote(url.fragment))
        else:
            tag.unwrap()
    for tag in found.select(".course-progress, .headerlink, .term-note, script"):
        tag.decompose()
    found["id"] = anchor(page)
    return found


def whole() -> str:
    """Return the book as one page; it stands beside the folder of the pages."""
    first = soup(HTML / FIRST)
    empty = "<!DOCTYPE html><html><head></head><body></body></html>"
    one = BeautifulSoup(empty, "html.parser")
    one.html["lang"] = first.html["lang"]
    one.html["data-theme"] = "light"
    one.head.append(one.new_tag("meta", charset="utf-8"))
    title = one.new_tag("title")
    title.string = first.select_one(".logo__title").get_text(strip=True)
    one.head.append(title)
    for sheet in first.select("link[rel=stylesheet]"):
        new = copy.copy(sheet)
        path = posixpath.normpath(f"{posixpath.dirname(FIRST)}/{sheet['href']}")
        new["href"] = f"html/{path}"
        one.head.append(new)
    style = one.new_tag("style")
    style.string = STYLE
    one.head.append(style)
    order = pages()
    for page in order:
        one.body.append(article(page, set(order)))
    return str(one)


def main() -> None:
    if not (HTML / FIRST).is_file():
        sys.exit("no pages in _build/html: run `make book` first")
    browser = chromium.executable()
    if browser is None:
        sys.exit(chromium.MISSING)
    page = HTML.parent / "book.html"
    page.write_text(whole(), encoding="utf-8")
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, *FLAGS, f"--user-data-dir={profile}"]
        command += [f"--print-to-pdf={TARGET}", page.as_uri()]
        run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if run.returncode or not TARGET.is_file():
        sys.exit(f"the browser printed nothing: {run.stderr[-500:]}")
    page.unlink()
    print(f"The book on paper: {TARGET}")


if __name__ == "__main__":
    main()
