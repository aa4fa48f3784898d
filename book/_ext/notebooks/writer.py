"""Write the pages that have code as notebooks for Colab and JupyterLab."""

import re
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from myst_nb.core.read import read_myst_markdown_notebook
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from pybtex.database import parse_file
from sphinx.errors import ExtensionError

from coursekit.colab import METADATA, commit, setup_source
from notebooks.plain_markdown import check, convert_cells
from notebooks.references import MarkdownError, References
from notebooks.spans import inline
from notebooks.targets import Citations, page_of, references
from repository import repository


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
    return start + inline(str(figure["caption"]).strip(), refs)


def metadata(cell) -> dict:
    """Return a cell's tags, and what JupyterLab calls one that the page folds."""
    tags = cell.metadata.get("tags", [])
    found = {"tags": tags} if tags else {}
    if "hide-input" in tags:
        found["jupyter"] = {"source_hidden": True}
    return found


def plain_notebook(cells: list, page: str, refs: References, first: str, starts=()):
    """Return the notebook of a page's cells, which start at these lines of it."""
    new = [new_code_cell(first, execution_count=1)]
    for kind, content in convert_cells(cells, refs, starts):
        if kind == "markdown":
            new.append(new_markdown_cell(content))
            continue
        new.append(
            new_code_cell(
                content.source,
                execution_count=content.execution_count,
                outputs=content.outputs,
                metadata=metadata(content),
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
            check(cell.source, refs)
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


def read(app, docname: str):
    """Return a page as a notebook, as the build reads it, and its cells' lines."""
    text = Path(app.env.doc2path(docname)).read_text(encoding="utf-8")
    notebook = read_myst_markdown_notebook(
        text, config=app.env.myst_config, add_source_map=True
    )
    lines = text.split("\n")
    starts = notebook.metadata.pop("source_map")
    for number, start in enumerate(starts):
        # The reader leaves out blank lines before a text.
        while start < len(lines) and not lines[start].strip():
            start += 1
        starts[number] = start
    return notebook, starts


def page_notebook(app, docname: str, refs: References, first: str) -> str:
    """Return the notebook of a page as the text of its file."""
    notebook, starts = read(app, docname)
    take_outputs(notebook.cells, executed_cells(app, docname, notebook), docname)
    try:
        page = page_of(app.env, docname)
        plain = plain_notebook(notebook.cells, page, refs, first, starts)
    except MarkdownError as error:
        raise ExtensionError(f"{docname}.md:{error.line + 1}: {error}") from error
    nbformat.validate(plain)
    return nbformat.writes(plain) + "\n"


def store(folder: Path, files: dict[str, str]) -> None:
    """Make a folder hold these notebooks and no others; the same stay untouched."""
    for name, content in files.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
    for path in folder.rglob("*.ipynb"):
        if path.relative_to(folder).as_posix() not in files:
            path.unlink()


def write_notebooks(app, exception) -> None:
    """Write all notebooks, for Colab and beside the pages for the download button."""
    if exception is not None or app.builder.name != "html":
        return
    root, out = Path(app.srcdir), Path(app.outdir)
    name, revision = repository(app.config), commit(root)
    first = setup_source(name, revision)
    # Seen from `_build/notebooks` when there is no address.
    images = f"https://raw.githubusercontent.com/{name}/{revision}/"
    images = images if name and revision else "../../"
    citations = Citations(parse_file(str(root / "book" / "references.bib"), "bibtex"))
    files = {}
    for docname in sorted(app.env.found_docs):
        if page := page_of(app.env, docname):
            refs = references(app, docname, citations, images)
            files[f"{page}.ipynb"] = page_notebook(app, docname, refs, first)
    for folder in (out.parent / "notebooks", out / "notebooks"):
        store(folder, files)
