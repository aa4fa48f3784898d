"""Verdicts: one source, a sign beside each word, on the ledger, boxes, first page."""

import logging
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup
from docutils import nodes

from page import verdicts

HTML = Path(__file__).parents[2] / "_build" / "html"
BOOK = HTML / "book"
WORDS = {"holds": "holds", "holds when": "when", "half true": "when", "wrong": "wrong"}


def soup(name):
    text = (BOOK / f"{name}.html").read_text(encoding="utf-8")
    return BeautifulSoup(text, "html.parser")


@pytest.mark.parametrize(
    ("said", "group"),
    [
        ("Holds", "holds"),
        ("hold", "holds"),
        ("Holds\nwhen", "when"),
        ("Half\ntrue.", "when"),
        ("Wrong", "wrong"),
        # a condition follows, whether the list has it or not
        ("Holds for pairs that belong together", "when"),
        ("Holds only with a suitable initializer", "when"),
        ("Maybe", None),
        ("wrongly put", None),
        ("household", None),
    ],
)
def test_the_group_of_a_verdict(said, group):
    assert verdicts.group_of(said, WORDS) == group


def ledger_row(said, target="claim-a-b", *more):
    verdict = [*([nodes.strong("", said)] if said else []), *more]
    place = nodes.inline("", "", reftarget=target)
    texts = (
        [nodes.Text("gradients vanish")],
        verdict,
        [nodes.Text("5 seeds")],
        [place],
    )
    paragraphs = [nodes.paragraph("", "", *children) for children in texts]
    return nodes.row("", *(nodes.entry("", one) for one in paragraphs))


def test_a_row_of_the_ledger():
    found = verdicts.claim(ledger_row("Holds when"), WORDS)
    assert found == verdicts.Claim(
        "gradients vanish", "Holds when", "when", "claim-a-b"
    )
    more = nodes.Text(" the gain is 1. With 2")
    assert verdicts.claim(ledger_row("Holds when", "claim-a-b", more), WORDS).rest == (
        " the gain is 1"
    )
    # a formula's text is no text for readers
    formula = nodes.math("", "g = 1")
    assert not verdicts.claim(
        ledger_row("Holds when", "claim-a-b", formula), WORDS
    ).rest
    ledger = verdicts.Ledger(WORDS, (found,))
    assert ledger.of("a") == [found] and ledger.of("b") == []


@pytest.fixture
def said():
    """What the build would stop at."""
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = logging.getLogger("sphinx.page.verdicts")
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)


@pytest.mark.parametrize(
    "row", [ledger_row("Maybe"), ledger_row(""), ledger_row("Holds", "fig-a")]
)
def test_a_row_without_a_verdict_of_the_list_or_without_its_box_is_told(row, said):
    assert verdicts.claim(row, WORDS) is None
    assert "gradients vanish" in said[0].getMessage()


def test_a_box_without_a_verdict_of_the_list_is_told(said):
    box = nodes.admonition("", nodes.title("", "Verdict"), classes=["important"])
    box += nodes.paragraph("", "", nodes.strong("", "Maybe."))
    settings = SimpleNamespace(env=None, language_code="en")
    verdicts.Verdicts(nodes.document(settings, None)).mark_box(box, WORDS)
    assert "no verdict" in said[0].getMessage()
    assert "verdict-box" not in box["classes"]


def rows():
    return soup("reference/claims").select("table.stacked tbody tr")


def test_each_row_of_the_ledger_has_its_sign():
    assert len(rows()) > 30
    for row in rows():
        verdict = row.select("td")[1].select_one("strong")
        assert "verdict" in verdict["class"] and verdict.get_text(strip=True)
        # who listens hears the word, and no sign
        assert verdict.svg["aria-hidden"] == "true"


def test_each_box_of_a_chapter_has_signs():
    seen = 0
    for path in BOOK.glob("*.html"):
        for box in soup(path.stem).select(".admonition"):
            title = box.select_one(".admonition-title")
            if title and title.get_text() == "Verdict":
                seen += 1
                assert "verdict-box" in box["class"] and box["id"]
                assert box.select("strong.verdict svg.sign"), box["id"]
    assert seen > 20


def test_the_first_page_counts_what_the_ledger_has():
    groups = Counter()
    for row in rows():
        (name,) = set(row.strong["class"]) - {"verdict"}
        groups[name] += 1
    counts = soup("index").select(".found-counts .verdict")
    shown = {}
    for one in counts:
        (name,) = set(one["class"]) - {"verdict"}
        shown[name] = int(one.get_text().split()[0])
    assert shown == groups and len(shown) == len(verdicts.GROUPS)
    total = soup("index").select_one(".found a").get_text().split()[0]
    assert int(total) == sum(groups.values())
    # the signs differ in shape, not in colour alone
    assert len({str(one.svg) for one in counts}) == len(counts)


def test_three_claims_lead_to_their_boxes():
    links = soup("index").select(".found-claims a")
    assert len(links) == 3
    for link in links:
        page, _, anchor = link["href"].partition("#")
        box = soup(page.removesuffix(".html")).find(id=anchor)
        assert "verdict-box" in box["class"]


def test_a_chapter_counts_at_its_head_and_tells_at_its_foot():
    seen = 0
    for path in sorted(BOOK.glob("*.html")):
        page = soup(path.stem)
        foot = page.select_one(".chapter-verdicts")
        if foot is None:
            continue
        items = foot.select("li")
        seen += len(items)
        head = page.select_one(".course-progress")
        assert f"{len(items)} statements" in head.get_text()
        assert not head.select(".verdict"), "predictions come first"
        for item in items:
            assert page.find(id=item.a["href"].removeprefix("#")) and item.svg
    assert seen == len(rows())
