"""What a page of the book points to: its notebook, labels, numbers, citations."""

import os
from pathlib import Path

from pybtex.database import BibliographyData
from pybtex.richtext import Text

from notebooks.plain_markdown import MarkdownError, References


def page_of(env, docname: str) -> str:
    """Return the name of a page's notebook, or nothing: not all have code."""
    if not docname.startswith("book/") or docname not in env.found_docs:
        return ""
    source = Path(env.doc2path(docname))
    text = source.read_text(encoding="utf-8") if source.suffix == ".md" else ""
    return docname.removeprefix("book/") if "{code-cell}" in text else ""


class Citations:
    """Authors and year of each entry of the bibliography, with a link."""

    def __init__(self, bibliography: BibliographyData) -> None:
        self.entries = bibliography.entries

    def __call__(self, keys: str, in_text: bool) -> str:
        cited = [self._one(key.strip(), in_text) for key in keys.split(",")]
        return ", ".join(cited) if in_text else f"({'; '.join(cited)})"

    def _one(self, key: str, in_text: bool) -> str:
        if key not in self.entries:
            raise MarkdownError(f"no entry {key} in the bibliography", key)
        entry = self.entries[key]
        fields, people = entry.fields, entry.persons
        names = [
            _decode(" ".join(person.prelast_names + person.last_names))
            for person in people.get("author") or people.get("editor") or []
        ]
        if len(names) > 2:
            authors = f"{names[0]} et al."
        else:
            authors = " and ".join(names) or _decode(fields.get("title", key))
        year = fields.get("year", "n.d.")
        text = f"{authors} ({year})" if in_text else f"{authors}, {year}"
        doi = fields.get("doi", "").removeprefix("https://doi.org/")
        url = f"https://doi.org/{doi}" if doi else fields.get("url", "")
        # Parentheses would end the link.
        url = url.replace("(", "%28").replace(")", "%29")
        return f"[{text}]({url})" if url else text


def _decode(latex: str) -> str:
    return Text.from_latex(latex).render_as("text")


def references(app, docname: str, citations: Citations, images: str) -> References:
    """Look up labels, numbers and titles in Sphinx's environment."""
    env = app.env
    std = env.get_domain("std")
    folder = Path(docname).parent

    def title(label: str) -> str:
        if exercise(label):
            return f"Exercise {exercise(label)}"
        if label.lower() in std.labels:
            return std.labels[label.lower()][2]
        if label.lower() in std.anonlabels:
            return number(label)
        for name, text in env.titles.items():
            if Path(name).name == label:
                return text.astext()
        raise MarkdownError(f"no label {label}", label)

    def numbered(kind: str, label: str) -> str:
        page, anchor = std.anonlabels.get(label.lower(), ("", ""))[:2]
        found = env.toc_fignumbers.get(page, {}).get(kind, {}).get(anchor, ())
        return ".".join(map(str, found))

    def number(label: str) -> str:
        for kind, form in app.config.numfig_format.items():
            found = numbered(kind, label)
            if found:
                return form % found
        raise MarkdownError(f"no number for {label}", label)

    def document(target: str) -> str:
        name = target.lstrip("/")
        if not target.startswith("/"):
            name = os.path.normpath(folder / target).replace(os.sep, "/")
        if name not in env.titles:
            raise MarkdownError(f"no page {target}", target)
        return env.titles[name].astext()

    def equation(label: str) -> str:
        found = env.get_domain("math").equations.get(label)
        return str(found[1]) if found and found[0] == docname else ""

    def image(target: str) -> str:
        path = os.path.normpath(folder / target).replace(os.sep, "/")
        return images + path

    def exercise(label: str) -> str:
        return numbered("exercise", label)

    return References(title, number, document, equation, citations, image, exercise)
