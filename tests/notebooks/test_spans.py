"""What stands inside of a paragraph: roles, links, raw HTML."""

import pytest

from notebooks.plain_markdown import convert
from notebooks.references import MarkdownError


def test_roles(refs):
    text = "{ref}`sec`, {ref}`that <sec>`, {doc}`other`, {numref}`f`, {math}`x_1`"
    expected = "A section, that, Page other, Fig. 1.2, $x_1$"
    assert convert(text, refs) == expected
    assert convert("`` {ref}`sec` `` and `{x}`", refs) == "`` {ref}`sec` `` and `{x}`"
    with pytest.raises(MarkdownError, match="unknown role {other}"):
        convert("{other}`x`", refs)


def test_links(refs):
    text = "[one](other.md), [two](#sec), [](#sec), [out](https://example.org)"
    expected = "one, two, A section, [out](https://example.org)"
    assert convert(text, refs) == expected


def test_links_with_roles_images_and_references(refs):
    out = '<https://x.org> [d](https://x.org/é_(f) "A title")'
    text = (
        "[see {ref}`sec`](x.md) [{ref}`sec`](mailto:a@b.c) ![a $x$](p/q.svg) "
        f"{out} [b][c] [c]\n\n[c]: https://x.org"
    )
    plain = (
        "see A section [A section](mailto:a@b.c) ![a $x$](p/q.svg) "
        f"{out} [b](<https://x.org>) [c](<https://x.org>)\n\n[c]: https://x.org"
    )
    assert convert(text, refs) == plain


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("[text](<my page.md>)", "text@document:my page"),
        ("[t](b.md 'title')", "t@document:b"),
        ("[t](../b.md#part)", "t@document:../b#part"),
        ("[](b.md)", "Page b@document:b"),
        ("[t][r]\n\n[r]: b.md", "t@document:b\n\n[r]: b.md"),
        ("[{ref}`sec`](#sec)", "A section@label:sec"),
        ("{ref}`that <sec>`", "that@label:sec"),
        ("{doc}`b`", "Page b@document:b"),
        ("{numref}`f`", "Fig. 1.2@label:f"),
        ("{term}`decades <decade>`", "decades@term:decade"),
        ("{py:func}`~a.b`", "`b`@python:a.b"),
    ],
)
def test_what_points_into_the_book(refs, text, plain):
    refs.linked = lambda kind, target, text: f"{text}@{kind}:{target}"
    assert convert(text, refs) == plain


def test_html_that_leads_out_stays(refs):
    text = 'A <sub>b</sub> <a href="https://x.org">c</a>.\n\n<!-- no -->\n\n<br>'
    assert convert(text, refs) == text
