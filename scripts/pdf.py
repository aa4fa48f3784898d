"""Print the whole book as one PDF, out of the pages that `make book` has built.

    python scripts/pdf.py        writes _build/book.pdf

A cover and the contents come first. The articles follow each other in one page,
without scripts: a lab's place shows its figure, solutions are open. Links between pages
lead to the place in the PDF. It is printed twice: the first time tells on which page
each article begins, which no browser can say in a text of its own.
"""

import copy
import json
import posixpath
import re
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
@page { size: A4; margin: 20mm 20mm 20mm;
  @bottom-center { content: counter(page); font: 9pt sans-serif; } }
@page :first { @bottom-center { content: none; } }
html[data-theme] { --size: 11.5pt; --small: 9pt; --measure: 36em; }
body { font-size: 10.5pt; }
.bd-article h1 { font-size: 22pt; }
.bd-article h2 { font-size: 15pt; margin-top: 8mm; }
article { break-before: page; padding: 0 !important; max-width: none !important; }
/* with its caption on one page */
figure > svg.figure { max-height: 205mm; }
dl.py { font-size: .9em; }
dl.py, dl.py :is(p, ul, dl) { margin-bottom: .2em; }
.cover { padding-top: 70mm; }
.cover h1 { font: 600 30pt/1.15 var(--furniture); text-wrap: balance; }
.cover p { font: 12pt/1.5 var(--text); max-width: 32em; }
.book-contents { break-before: page; font: 11pt/1.5 var(--furniture); }
.book-contents h2 { font-size: 18pt; }
.book-contents h3 { font-size: 11pt; margin: 6mm 0 1mm; }
.book-contents a { display: flex; justify-content: space-between; color: inherit;
  text-decoration: none; }
"""
#: Running heads: the course at the left, the page's title at the right.
HEAD = """
@page {name} {{ @top-left {{ content: {book}; font: 8pt sans-serif; color: #57606a; }}
  @top-right {{ content: {title}; font: 8pt sans-serif; color: #57606a; }} }}
#{anchor} {{ page: {name}; }}
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
    gone = ".course-progress, .headerlink, .term-note, .course-contents, .start, script"
    for tag in found.select(gone):
        tag.decompose()
    found["id"] = anchor(page)
    return found


def starts(pdf: bytes) -> dict[str, int]:
    """Return the number of the page on which each named place of a PDF stands.

    Chromium writes pages, in their order, and places in plain text.
    """
    order = re.findall(rb"(\d+) 0 obj\s*<</Type /Page\s", pdf)
    number = {page: place for place, page in enumerate(order, start=1)}
    places = re.findall(rb"/(\S+) \[(\d+) 0 R /XYZ", pdf)
    return {name.decode(): number[page] for name, page in places if page in number}


def front(one, first, title: str, numbers: dict[str, int]) -> None:
    """Put the cover and the contents in front; the contents are the pages' own list."""
    cover = one.new_tag("section", attrs={"class": "cover"})
    contents = one.new_tag("nav", attrs={"class": "book-contents"})
    heading, text = one.new_tag("h1"), one.new_tag("p")
    heading.string = title
    text.string = " ".join(first.select_one("article p").get_text().split())
    cover.extend([heading, text])
    heading = one.new_tag("h2")
    heading.string = "Contents"
    contents.append(heading)
    for tag in first.select(".bd-docs-nav .caption, .bd-docs-nav a.internal"):
        if tag.name != "a":
            line = one.new_tag("h3")
            line.string = tag.get_text()
        else:
            folder = posixpath.dirname(FIRST)
            name = anchor(posixpath.normpath(f"{folder}/{tag['href']}"))
            line = one.new_tag("a", href=f"#{name}")
            for words in (tag.get_text(), str(numbers.get(name, ""))):
                part = one.new_tag("span")
                part.string = words
                line.append(part)
        contents.append(line)
    one.body.extend([cover, contents])


def whole(numbers: dict[str, int] | None = None) -> str:
    """Return the book as one page; it stands beside the folder of the pages.

    Parameters
    ----------
    numbers
        On which page of the PDF each article begins, for the contents.
    """
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
    front(one, first, title.string, numbers or {})
    order = pages()
    for place, page in enumerate(order):
        one.body.append(article(page, set(order)))
        own = one.body.contents[-1].h1.get_text(" ", strip=True).removesuffix(" #")
        style.string += HEAD.format(
            name=f"page-{place}",
            # a string of JSON is one of CSS
            book=json.dumps(title.string, ensure_ascii=False),
            # the first page has the course's own
            title=json.dumps(own if own != title.string else "", ensure_ascii=False),
            anchor=anchor(page).replace(":", "\\:"),
        )
    return str(one)


def printed(browser: str, page: Path) -> None:
    """Print a page to the target, or end with what the browser says."""
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, *FLAGS, f"--user-data-dir={profile}"]
        command += [f"--print-to-pdf={TARGET}", page.as_uri()]
        run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if run.returncode or not TARGET.is_file():
        sys.exit(f"the browser printed nothing: {run.stderr[-500:]}")


def main() -> None:
    if not (HTML / FIRST).is_file():
        sys.exit("no pages in _build/html: run `make book` first")
    browser = chromium.executable()
    if browser is None:
        sys.exit(chromium.MISSING)
    page = HTML.parent / "book.html"
    # an old one would look like success
    TARGET.unlink(missing_ok=True)
    try:
        page.write_text(whole(), encoding="utf-8")
        printed(browser, page)
        page.write_text(whole(starts(TARGET.read_bytes())), encoding="utf-8")
        printed(browser, page)
    finally:
        page.unlink(missing_ok=True)
    print(f"The book on paper: {TARGET}")


if __name__ == "__main__":
    main()
