"""What a page of the book points to."""

from types import SimpleNamespace

import pytest
from docutils.nodes import Text
from pybtex.database import parse_string

from notebooks.plain_markdown import convert
from notebooks.references import MarkdownError, References
from notebooks.targets import Citations, Labels

BIB = """
@article{two, author = {Glorot, Xavier and Bengio, Yoshua}, year = {2010},
  title = {T}, doi = {10.1/x(1)}}
@article{three, author = {M{\\"u}ller, A and B, C and D, E}, year = {1998}, title = {T}}
"""


def test_citations():
    refs = References(cite=Citations(parse_string(BIB, "bibtex")))
    link = "https://doi.org/10.1/x%281%29"
    assert convert("{cite:t}`two`", refs) == f"[Glorot and Bengio (2010)]({link})"
    expected = f"([Glorot and Bengio, 2010]({link}); Müller et al., 1998)"
    assert convert("{cite:p}`two,three`", refs) == expected
    with pytest.raises(MarkdownError, match="no entry"):
        convert("{cite}`four`", refs)


@pytest.fixture
def labels(monkeypatch):
    """Return the labels of a page, for a book that is published here or nowhere."""
    std = SimpleNamespace(
        labels={"sec": ("book/b", "sec", "A section"), "own": ("book/a", "own", "Own")},
        anonlabels={"sec": ("book/b", "sec"), "fig_1": ("book/b", "fig-1")},
        objects={("term", "fan-in"): ("book/reference/glossary", "term-fan-in")},
    )
    found = SimpleNamespace(docname="book/reference/api", node_id="a.b")
    domains = {"std": std, "py": SimpleNamespace(objects={"a.b": found})}
    titles = {"book/a": "A", "book/b": "The b", "book/reference/glossary": "Glossary"}
    titles["book/reference/api"] = "Helpers"
    env = SimpleNamespace(
        get_domain=domains.get, titles={name: Text(t) for name, t in titles.items()}
    )

    def make(address):
        monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
        config = SimpleNamespace(
            numfig_format={}, html_baseurl=address, html_theme_options={}
        )
        uri = SimpleNamespace(get_target_uri=lambda name: f"{name}.html")
        return Labels(SimpleNamespace(env=env, config=config, builder=uri), "book/a")

    return make


IN_B = "x (*The b*, a page of the book)"
PLACES = [
    ("document", "b", "the b", "book/b.html", "*The b* (a page of the book)"),
    (
        "document",
        "b#Fig_1",
        "x",
        "book/b.html#fig-1",
        IN_B,
    ),
    ("label", "sec", "x", "book/b.html#sec", IN_B),
    ("label", "fig_1", "x", "book/b.html#fig-1", IN_B),
    ("term", "Fan-in", "x", "book/reference/glossary.html#term-fan-in", "x"),
    (
        "python",
        "a.b",
        "x",
        "book/reference/api.html#a.b",
        "x (*Helpers*, a page of the book)",
    ),
]


@pytest.mark.parametrize(("kind", "target", "text", "place", "nowhere"), PLACES)
def test_links_into_the_book(labels, kind, target, text, place, nowhere):
    published = labels("https://owner.github.io/course")
    url = f"https://owner.github.io/course/{place}"
    assert published.linked(kind, target, text) == f"[{text}]({url})"
    assert labels("").linked(kind, target, text) == nowhere


def test_what_stands_in_the_same_notebook_has_no_link(labels):
    for address in ("", "https://owner.github.io/course"):
        assert labels(address).linked("label", "own", "Own") == "Own"
    with pytest.raises(MarkdownError, match="no page c"):
        labels("").linked("document", "c", "x")


def test_a_lab_is_named_or_linked(labels):
    assert labels("").lab("batchnorm") == (
        "*The page of the book has a live lab here: BatchNorm on and off.*"
    )
    url = "https://x.org/book/a.html#lab-batchnorm"
    assert f"[BatchNorm on and off]({url})" in labels("https://x.org/").lab("batchnorm")
