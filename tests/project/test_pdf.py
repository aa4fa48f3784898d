"""The book on paper: one page of all articles, whose links stay inside of it."""

import copy
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

import browser
import pdf

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def page():
    """The whole book, whose articles begin on the third and the following pages."""
    numbers = {pdf.anchor(name): place for place, name in enumerate(pdf.pages(), 3)}
    return BeautifulSoup(pdf.whole(numbers), "html.parser")


def test_the_one_page_holds_together(page):
    articles = [article["id"] for article in page.find_all("article")]
    assert articles == [pdf.anchor(name) for name in pdf.pages()]
    assert articles[:2] == ["book-index:", "book-vanishing:"] and len(articles) > 10
    ids = [tag["id"] for tag in page.find_all(id=True)]
    assert len(ids) == len(set(ids))
    links = [a["href"] for a in page.find_all("a", href=True)]
    inside = {link[1:] for link in links if link.startswith("#")}
    assert inside <= set(ids), inside - set(ids)
    assert all(link.startswith(("#", "http", "mailto:")) for link in links)
    for image in page.find_all("img"):
        assert (ROOT / "_build" / image["src"]).is_file()
        assert not image.has_attr("loading")
    assert not page.find_all("script") and len(page.find_all("math")) > 200


def test_cover_contents_and_running_heads(page):
    where = {pdf.anchor(name): place for place, name in enumerate(pdf.pages(), 3)}
    assert page.select_one(".cover h1").get_text() == page.title.get_text()
    lines = page.select(".book-contents a")
    assert [line["href"] for line in lines] == [f"#{name}" for name in list(where)[1:]]
    numbers = [int(line.select("span")[1].get_text()) for line in lines]
    assert numbers == list(where.values())[1:]
    style = page.style.string
    assert '@top-right { content: "1. Vanishing gradients"' in style
    assert style.count("@top-right") == len(where)
    # paper cannot be asked to move, to open or to download anything
    first = copy.copy(page.select_one("article"))
    for tag in first.select(".screen-only, .start, .lab-title"):
        tag.decompose()
    text = first.get_text()
    for word in ("Start with", "move", "download", "Make the line"):
        assert word not in text, word


def test_prints(tmp_path, monkeypatch, capsys):
    browser.executable()
    monkeypatch.setattr(pdf, "TARGET", tmp_path / "book.pdf")
    monkeypatch.setattr(pdf, "pages", lambda: ["book/index.html", "book/today.html"])
    pdf.main()
    content = (tmp_path / "book.pdf").read_bytes()
    starts = pdf.starts(content)
    # behind the cover and the contents
    assert starts["book-today:"] > starts.get("book-index:", 2) >= 2
    assert content.startswith(b"%PDF")
    assert str(tmp_path / "book.pdf") in capsys.readouterr().out
    assert content.count(b"/Type /Page\n") >= 5
    assert not (ROOT / "_build" / "book.html").exists()
