"""What cells print, on a phone: a line that is too long goes on in the next one.

And cells that check an answer are folded, with what they print: they hold hints.
"""

import re
from html import unescape

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

PRINTED = re.compile(
    r'(<div class="output stream[^>]*><div class="highlight"><pre><span></span>)'
    r"(.*?)(?=</pre>)",
    re.DOTALL,
)
#: Says what an answer must meet, or asks whether the reader's own meets it.
CHECK = re.compile(r"def unmet\(|answers\.check\(unmet, (\w+)=\1\)")
#: Characters that fit at 360 pixels, in the narrowest place, a solution.
FITTING = 40


class Checks(SphinxPostTransform):
    """Fold the cells that check an answer; those of solutions are folded already."""

    #: before myst-nb wraps what is folded (199)
    default_priority = 100
    formats = ("html",)

    def run(self, **kwargs):
        for cell in self.document.findall(nodes.container):
            if cell.get("nb_element") == "cell_code" and CHECK.search(cell.astext()):
                cell["classes"].append("answer-check")
                cell["hide_mode"] = "all"
                cell["prompt_show"] = "Show the cell that checks your answer"
                cell["prompt_hide"] = "Hide the cell that checks your answer"


def mark_long_lines(app, pagename, templatename, context, doctree) -> None:
    """Give each long line an element, which page.css makes hang on a phone."""
    if "body" in context:
        context["body"] = PRINTED.sub(lambda m: m[1] + marked(m[2]), context["body"])


def marked(printed: str) -> str:
    """Return printed lines as HTML, with the long ones marked.

    A line in which a colour begins or ends stays as it is.
    """
    return "".join(
        f'<span class="long">{line}</span>'
        if len(unescape(line)) > FITTING and "<" not in line
        else line
        for line in printed.splitlines(keepends=True)
    )


def setup(app):
    app.add_post_transform(Checks)
    app.connect("html-page-context", mark_long_lines)
