"""The way through the course: minutes, what was read, and where it is remembered."""

import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from docutils import nodes

import browser
import engines
from page import chapter

HTML = Path(__file__).parents[2] / "_build" / "html"
BOOK = HTML / "book"


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("Reading takes about 25 minutes, running about\none minute.", "25"),
        ("Sourced. Reading takes about\nfive minutes.", "five"),
        ("It takes ten minutes to run.", ""),
    ],
)
def test_a_page_says_its_minutes(text, minutes):
    document = nodes.section("", nodes.paragraph("", text))
    assert chapter.minutes(document) == minutes


def test_the_first_page_lists_all_chapters_with_minutes_and_signs():
    page = BeautifulSoup((BOOK / "index.html").read_text("utf-8"), "html.parser")
    items = page.select(".course-contents li")
    chapters = page.select(".bd-docs-nav ul:first-of-type a.internal")
    assert len(items) > 7
    for item, link in zip(items, chapters, strict=False):
        name = link["href"].removesuffix(".html")
        assert item.a["href"] == link["href"]
        text = (BOOK / f"{name}.html").read_text("utf-8")
        own = BeautifulSoup(text, "html.parser")
        assert len(item.select("svg.sign")) == len(own.select(".chapter-verdicts li"))
        if said := re.search(r"Reading takes about (\w+)\s+minutes", text):
            assert f"{said[1]} minutes" in item.get_text()
            assert f"{said[1]} minutes" in own.select_one(".course-progress").get_text()


BUTTON = """const a = document.querySelector(".start a");
return [a.textContent, a.getAttribute("href").split("/").at(-1)];"""

# One page after the other in one frame: a new window of Chromium's would forget.
READ = """
const frame = document.createElement("iframe");
frame.width = 1000; frame.height = 800;
const open = (page) => new Promise((done) => {
  frame.onload = () => done(frame.contentDocument);
  frame.src = "%sbook/" + page;
});
document.body.append(frame);
frame.scrollIntoView({ behavior: "instant" });
const chapter = await open("vanishing.html");
const read = () => [...chapter.querySelectorAll(".bd-docs-nav a.read")];
const before = read().length;
chapter.querySelector(".prev-next-footer").scrollIntoView({ behavior: "instant" });
for (let n = 0; n < 80 && !read().length; n += 1) {
  await new Promise((done) => setTimeout(done, 50));
}
const marked = read().map((link) => link.textContent);
const button = (await open("index.html")).querySelector(".start a");
return [before, marked, button.textContent, button.href.split("/").at(-1)];
"""


@pytest.mark.parametrize("name", engines.ENGINES)
def test_what_was_read_is_remembered_in_this_browser(name):
    with browser.server(HTML) as address, engines.ENGINES[name]() as engine:
        engine.size(1280, 900)
        engine.goto(f"{address}book/index.html")
        assert engine.evaluate(BUTTON) == ["Start with chapter 1", "vanishing.html"]
        before, marked, words, leads = engine.evaluate(READ % address)
        assert before == 0 and marked == ["1. Vanishing gradients, read"]
        assert words == "Go on with Exploding gradients"
        assert leads == "exploding.html"
