"""Write the pages that have code as notebooks for Colab and JupyterLab."""

import os
import re
from pathlib import Path

import jupytext
import nbformat
from jupyter_cache import get_cache
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from plain_markdown import MarkdownError, References, check, convert, convert_cells
from pybtex.database import BibliographyData, parse_file
from pybtex.richtext import Text
from sphinx.errors import ExtensionError

from coursekit.grading.colab import METADATA, commit, setup_source


def repository(config) -> str:
    """Return "owner/name" of the repository on GitHub, or nothing."""
    name = os.environ.get("GITHUB_REPOSITORY", "")
    if name:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", name, re.ASCII):
            raise ExtensionError(f"GITHUB_REPOSITORY is not owner/name: {name}")
        return name
    url = config.html_theme_options.get("repository_url") or ""
    address = r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?"
    match = re.fullmatch(address, url, re.ASCII)
    if url and not match:
        raise ExtensionError(
            f"_config.yml, repository.url: not https://github.com/owner/name: {url}"
        )
    return match[1] if match else ""


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


def take_outputs(cells: list, executed: list, page: str) -> None:
    """Give the cells what the book's build computed."""
    code = [cell for cell in cells if cell.cell_type == "code"]
    done = [cell for cell in executed if cell.cell_type == "code"]
    if [c.source.strip() for c in code] != [c.source.strip() for c in done]:
        raise ExtensionError(f"{page}: the executed notebook has other code cells")
    for cell, ran in zip(code, done, strict=True):
        cell.execution_count = ran.execution_count
        # Standard error has the warnings of one machine.
        cell.outputs = [o for o in ran.outputs if o.get("name") != "stderr"]


def caption(cell, refs: References) -> str:
    """Return the caption that the page shows under a cell's figure."""
    figure = cell.metadata.get("mystnb", {}).get("figure", {})
    if not figure.get("caption"):
        return ""
    start = f"**{refs.number(figure['name'])}** " if "name" in figure else ""
    return start + convert(str(figure["caption"]), refs).strip()


def plain_notebook(cells: list, page: str, refs: References, first: str):
    """Return the notebook of a page's cells."""
    new = [new_code_cell(first, execution_count=1)]
    for kind, content in convert_cells(cells, refs):
        if kind == "markdown":
            new.append(new_markdown_cell(content))
            continue
        tags = content.metadata.get("tags", [])
        new.append(
            new_code_cell(
                content.source,
                execution_count=content.execution_count,
                outputs=content.outputs,
                metadata={"tags": tags} if tags else {},
            )
        )
        below = caption(content, refs)
        if below:
            new.append(new_markdown_cell(below))
    name = re.sub(r"[^a-zA-Z0-9_-]", "-", page)[:56]
    count = 0
    for index, cell in enumerate(new):
        # nbformat's own ids are random: each build would change the files.
        cell.id = f"{name}-{index}" if index else f"{name}-setup"
        if cell.cell_type == "markdown":
            check(cell.source)
        elif cell.execution_count is not None:
            count += 1
            cell.execution_count = count
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = count
    return new_notebook(cells=new, metadata=METADATA)


def executed_cells(app, docname: str, notebook) -> list:
    """Return the cells as the build ran them.

    They come from the cache: in the copies that myst-nb leaves beside the pages,
    `nb_merge_streams` has put a stream's later lines there twice.
    """
    cache = get_cache(app.env.mystnb_config.execution_cache_path)
    try:
        return cache.merge_match_into_notebook(notebook)[1].cells
    except KeyError:
        raise ExtensionError(f"{docname}: no executed notebook") from None


def write(path: Path, content: str) -> None:
    """Write a file unless it is the same already."""
    if not path.is_file() or path.read_text(encoding="utf-8") != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def where(text: str, snippet: str) -> str:
    """Return ":line" of the first line of a snippet."""
    first = snippet.strip().split("\n")[0]
    for number, line in enumerate(text.split("\n"), start=1):
        if first and first in line:
            return f":{number}"
    return ""


def write_notebooks(app, exception) -> None:
    if exception is not None or app.builder.name != "html":
        return
    root, folder = Path(app.srcdir), Path(app.outdir).parent / "notebooks"
    name, revision = repository(app.config), commit(root)
    # Seen from `_build/notebooks` when there is no address.
    images = f"https://raw.githubusercontent.com/{name}/{revision}/"
    images = images if name and revision else "../../"
    citations = Citations(parse_file(str(root / "book" / "references.bib"), "bibtex"))
    written = set()
    for docname in sorted(app.env.found_docs):
        page = page_of(app.env, docname)
        if not page:
            continue
        text = Path(app.env.doc2path(docname)).read_text(encoding="utf-8")
        notebook = jupytext.reads(text, fmt="md:myst")
        take_outputs(notebook.cells, executed_cells(app, docname, notebook), docname)
        refs = references(app, docname, citations, images)
        try:
            first = setup_source(name, revision)
            plain = plain_notebook(notebook.cells, page, refs, first)
        except MarkdownError as error:
            line = where(text, error.snippet)
            raise ExtensionError(f"{docname}.md{line}: {error}") from error
        nbformat.validate(plain)
        path = folder / f"{page}.ipynb"
        write(path, nbformat.writes(plain) + "\n")
        written.add(path)
    for path in set(folder.rglob("*.ipynb")) - written:
        path.unlink()


def setup(app):
    app.connect("build-finished", write_notebooks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
