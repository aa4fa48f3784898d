"""Where a page stands in the course: its number, its minutes, what it will judge.

The head of a chapter says what is to come, without the answers; its foot (see
``templates/layout.html``) says what became of each claim. ``{contents-of-course}`` on
the first page lists the chapters with minutes and the signs of their verdicts.
"""

import re
from html import escape

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from page.verdicts import sign

#: How a chapter states its minutes.
MINUTES = re.compile(r"Reading takes about (\w+) minutes")


def chapters(env) -> list[str]:
    """Return the numbered pages in their order."""
    numbers = {
        page: sections.get("")
        for page, sections in env.toc_secnumbers.items()
        if sections.get("")
    }
    return sorted(numbers, key=numbers.get)


def minutes(doctree) -> str:
    """Return the minutes that a page says its reading takes, or nothing."""
    for paragraph in doctree.findall(nodes.paragraph):
        if said := MINUTES.search(" ".join(paragraph.astext().split())):
            return said[1]
    return ""


def add_progress(app, pagename, templatename, context, doctree) -> None:
    pages = chapters(app.env)
    if pagename in pages:
        context["chapter"] = pages.index(pagename) + 1
        context["chapters"] = len(pages)
        context["minutes"] = minutes(doctree)


class course_place(nodes.General, nodes.Element):  # noqa: N801, docutils' own style
    """Where the first page lists the chapters."""


class Course(SphinxDirective):
    """Read `{contents-of-course}`."""

    def run(self):
        return [course_place()]


def visit_course(self, node) -> None:
    builder, items = self.builder, []
    env, ledger = builder.env, builder.app.ledger
    for page in chapters(env):
        uri = builder.get_relative_uri(builder.current_docname, page)
        words = []
        if spent := minutes(env.get_doctree(page)):
            words.append(f"{spent} minutes")
        if claims := ledger.of(page.rpartition("/")[2]):
            signs = "".join(
                f'<span class="verdict-{one.group}">{sign(one.group)}</span>'
                for one in claims
            )
            verdicts = ", ".join(one.verdict.lower() for one in claims)
            words.append(
                f'<span class="visually-hidden">verdicts: {escape(verdicts)}</span>'
                f'<span class="signs">{signs}</span>'
            )
        title = escape(env.titles[page].astext())
        items.append(
            f'<li><a class="chapter-link" href="{escape(uri)}">{title}</a> '
            f'<span class="chapter-facts">{" ".join(words)}</span></li>'
        )
    self.body.append(f'<ol class="course-contents">{"".join(items)}</ol>\n')
    raise nodes.SkipNode


def setup(app):
    app.add_directive("contents-of-course", Course)
    app.add_node(course_place, html=(visit_course, None))
    app.connect("html-page-context", add_progress)
