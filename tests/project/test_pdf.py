"""The book on paper: one page of all articles, whose links stay inside of it."""

from pathlib import Path

from bs4 import BeautifulSoup

import browser
import pdf

ROOT = Path(__file__).parents[2]


def test_the_one_page_holds_together():
    page = BeautifulSoup(pdf.whole(), "html.parser")
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


def test_prints(tmp_path, monkeypatch, capsys):
    browser.executable()
    monkeypatch.setattr(pdf, "TARGET", tmp_path / "book.pdf")
    monkeypatch.setattr(pdf, "pages", lambda: ["book/index.html", "book/today.html"])
    pdf.main()
    content = (tmp_path / "book.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert str(tmp_path / "book.pdf") in capsys.readouterr().out
    assert content.count(b"/Type /Page\n") >= 3
    assert not (ROOT / "_build" / "book.html").exists()
