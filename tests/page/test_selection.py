"""The style sheet has the rules that some page uses, and few others."""

import re
from pathlib import Path

import pytest

from page import selection

HTML = Path(__file__).parents[2] / "_build" / "html"
#: Half of what the theme brings, gzipped, is 31 kB.
LARGEST = 145_000


@pytest.mark.parametrize(
    ("css", "kept"),
    [
        (".a{b:c}.d{e:f}", ".a{b:c}"),
        (".d .a,.a p{b:c}", ".a p{b:c}"),
        ("p{b:c}:root{--d:e}", "p{b:c}\n:root{--d:e}"),
        ("@media print{.d{e:f}}.a{b:c}", ".a{b:c}"),
        ("@media print{.d{e:f}p{b:c}}", "@media print{p{b:c}}"),
        ("@import 'x';.d{b:c}", "@import 'x';"),
        ("@font-face{font-family:d}", "@font-face{font-family:d}"),
        # braces and stops inside of texts and addresses end nothing
        (".a{b:url(data:x;{d})}.d{b:c}", ".a{b:url(data:x;{d})}"),
        ('.a{b:url("x(1);{}")}.d{b:c}', '.a{b:url("x(1);{}")}'),
        (".a::after{content:'}'}.d{b:c}", ".a::after{content:'}'}"),
        ("/* .a{ */.d{b:c}.a{b:c}", ".a{b:c}"),
        # what is not there is no reason to leave out
        ("p:not(.d){b:c}", "p:not(.d){b:c}"),
        ("p:is(.d, .a:has(.d)){b:c}", "p:is(.d, .a:has(.d)){b:c}"),
        ("[href='#d']{b:c}", "[href='#d']{b:c}"),
        (r".a\/2{b:c}.a\:b{b:c}", ""),
        ("#a.d,#d{b:c}", ""),
    ],
)
def test_a_rule_stays_when_a_page_may_use_it(css, kept):
    assert selection.selected(css, {"a", "p"}) == kept


def test_words_of_pages_and_scripts_are_known():
    page, script = '<p class="lab-a b_c">', "e.classList.add('d-e')"
    assert {"lab-a", "b_c", "d-e"} <= selection.words([page, script])


def test_the_book_s_style_has_lost_what_no_page_uses():
    page = (HTML / "book" / "vanishing.html").read_text(encoding="utf-8")
    name = re.search(r"_static/styles/book-\w+\.css", page)[0]
    css = (HTML / name).read_text(encoding="utf-8")
    assert len(css) < LARGEST
    for gone in (".fa-ghost", ".ratio-16x9", ".pagination-lg", ".placeholder-glow"):
        assert gone not in css, gone
    # a dialogue and a tooltip are made by scripts, marks by the search
    for there in (".tooltip-inner", "details.admonition", ".highlighted", ".fa-bars"):
        assert there in css, there
