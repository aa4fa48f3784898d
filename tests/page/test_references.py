"""The bibliography says what the text says: authors and year, no number."""

from built import HTML, soup

BIBLIOGRAPHY = HTML / "book" / "reference" / "bibliography.html"


def words(tag) -> str:
    return " ".join(tag.get_text().split())


def test_entries_begin_as_the_text_cites_them():
    entries = soup(BIBLIOGRAPHY).select("div.citation")
    labels = {
        entry["id"]: words(entry.select_one("p > .cited-as")) for entry in entries
    }
    names = list(labels.values())
    assert len(set(names)) == len(names) > 30
    assert names == sorted(names, key=str.casefold)
    cited = 0
    for path in (HTML / "book").rglob("*.html"):
        for link in soup(path).select(".bibtex-citation a[href*='#']"):
            text = words(link)
            if text[:1].isdigit():
                # in a sentence: the authors stand before the link
                continue
            assert text == labels[link["href"].partition("#")[2]], path.name
            cited += 1
    assert cited > 40


def test_entries_have_no_number():
    for entry in soup(BIBLIOGRAPHY).select("div.citation"):
        assert not entry.select(".label") and not words(entry).startswith("[")
