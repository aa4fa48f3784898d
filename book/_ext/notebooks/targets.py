"""What a page of the book points to: its notebook, labels, numbers, citations."""

import os
from pathlib import Path

from pybtex.database import BibliographyData
from pybtex.richtext import Text

from lab import bundle
from notebooks.references import MarkdownError, References
from repository import pages


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

    def who_and_when(self, key: str) -> tuple[str, str]:
        """Return the authors of an entry, as a text cites them, and its year."""
        if key not in self.entries:
            raise MarkdownError(f"no entry {key} in the bibliography")
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
        return authors, fields.get("year", "n.d.")

    def _one(self, key: str, in_text: bool) -> str:
        authors, year = self.who_and_when(key)
        fields = self.entries[key].fields
        text = f"{authors} ({year})" if in_text else f"{authors}, {year}"
        doi = fields.get("doi", "").removeprefix("https://doi.org/")
        url = f"https://doi.org/{doi}" if doi else fields.get("url", "")
        # Parentheses would end the link.
        url = url.replace("(", "%28").replace(")", "%29")
        return f"[{text}]({url})" if url else text


def _decode(latex: str) -> str:
    return Text.from_latex(latex).render_as("text")


class Labels:
    """What Sphinx's environment knows of labels, numbers, titles and pages."""

    def __init__(self, app, docname: str) -> None:
        self.env, self.forms = app.env, app.config.numfig_format
        self.docname, self.base = docname, pages(app.config)
        self.uri = app.builder.get_target_uri
        self.std = app.env.get_domain("std")

    def title(self, label: str) -> str:
        if number := self.exercise(label):
            return f"Exercise {number}"
        if label.lower() in self.std.labels:
            return self.std.labels[label.lower()][2]
        if label.lower() in self.std.anonlabels:
            return self.number(label)
        for name, text in self.env.titles.items():
            if Path(name).name == label:
                return text.astext()
        raise MarkdownError(f"no label {label}")

    def number(self, label: str) -> str:
        for kind, form in self.forms.items():
            if found := self._numbered(kind, label):
                return form % found
        raise MarkdownError(f"no number for {label}")

    def exercise(self, label: str) -> str:
        return self._numbered("exercise", label)

    def _numbered(self, kind: str, label: str) -> str:
        page, anchor = self.std.anonlabels.get(label.lower(), ("", ""))[:2]
        found = self.env.toc_fignumbers.get(page, {}).get(kind, {}).get(anchor, ())
        return ".".join(map(str, found))

    def equation(self, label: str) -> str:
        found = self.env.get_domain("math").equations.get(label)
        return str(found[1]) if found and found[0] == self.docname else ""

    def document(self, target: str) -> str:
        return self.env.titles[self.page(target)].astext()

    def page(self, target: str) -> str:
        """Return the name of the page that a link or a role calls so."""
        name = target.lstrip("/") if target.startswith("/") else self.path(target)
        if name not in self.env.titles:
            raise MarkdownError(f"no page {target}")
        return name

    def linked(self, kind: str, target: str, text: str) -> str:
        """Return a text with a link to the published book, or with the page's name."""
        docname, anchor = self.place(kind, target)
        if docname in ("", self.docname):
            return text
        if self.base:
            url = self.base + self.uri(docname) + (f"#{anchor}" if anchor else "")
            return f"[{text}]({url})"
        if kind == "term":
            return text
        title = self.env.titles[docname].astext()
        if text.lower() == title.lower():
            return f"*{title}* (a page of the book)"
        return f"{text} (*{title}*, a page of the book)"

    def place(self, kind: str, target: str) -> tuple[str, str]:
        """Return a page and an anchor in it; no page where nothing has that name."""
        if kind == "document":
            page, _, anchor = target.partition("#")
            known = self.std.anonlabels.get(anchor.lower(), ("", anchor))
            return self.page(page), known[1]
        if kind == "term":
            return self.term(target)
        if kind == "python":
            found = self.env.get_domain("py").objects.get(target)
            return (found.docname, found.node_id) if found else ("", "")
        for known in (self.std.labels, self.std.anonlabels):
            if target.lower() in known:
                return known[target.lower()][:2]
        pages = [name for name in self.env.titles if Path(name).name == target]
        return (pages[0], "") if pages else ("", "")

    def term(self, name: str) -> tuple[str, str]:
        # as the page does: upper and lower case are one
        for (kind, known), place in self.std.objects.items():
            if kind == "term" and known.lower() == name.lower():
                return place
        return "", ""

    def lab(self, preset: str) -> str:
        """Return what stands for a live lab: a notebook runs the real thing."""
        title = bundle.presets()[preset]["title"]
        if not self.base:
            return f"*The page of the book has a live lab here: {title}.*"
        url = f"{self.base}{self.uri(self.docname)}#lab-{preset}"
        return f"*In the book a live lab runs here: [{title}]({url}).*"

    def path(self, target: str) -> str:
        """Return a path from the root for one that counts from the page."""
        path = os.path.normpath(Path(self.docname).parent / target)
        return path.replace(os.sep, "/")


def references(app, docname: str, citations: Citations, images: str) -> References:
    """Return what a page may refer to; ``images`` stands before a picture's path."""
    labels = Labels(app, docname)
    return References(
        title=labels.title,
        number=labels.number,
        document=labels.document,
        equation=labels.equation,
        cite=citations,
        image=lambda target: images + labels.path(target),
        exercise=labels.exercise,
        linked=labels.linked,
        lab=labels.lab,
        hide_solutions=app.config.hide_solutions,
        syntax=app.env.myst_config,
    )
