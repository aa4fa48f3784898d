"""The notebooks of the pages: cells, outputs, files."""

from types import SimpleNamespace

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from sphinx.errors import ExtensionError

from notebooks import writer
from notebooks.references import References


def test_notebook():
    cells = [
        new_markdown_cell("# Title"),
        new_code_cell("1", execution_count=7, metadata={"tags": ["a"], "x": 1}),
    ]
    notebook = writer.plain_notebook(cells, "part/page", References(), "import this")
    ids = [cell.id for cell in notebook.cells]
    assert ids == ["part-page-setup", "part-page-1", "part-page-2"]
    assert notebook.cells[2].execution_count == 2
    assert notebook.cells[2].metadata == {"tags": ["a"]}


def test_what_the_page_folds_is_folded():
    cell = new_code_cell("assert 1", metadata={"tags": ["hide-input"]})
    notebook = writer.plain_notebook([cell], "page", References(), "import this")
    assert notebook.cells[1].metadata.jupyter == {"source_hidden": True}


def test_outputs_belong_to_the_same_code():
    ran = new_code_cell("1", execution_count=3)
    ran.outputs = [{"output_type": "stream", "name": "stderr", "text": "w"}]
    cell = new_code_cell("1")
    writer.take_outputs([cell], [ran], "page")
    assert cell.execution_count == 3 and cell.outputs == []
    with pytest.raises(Exception, match="other code cells"):
        writer.take_outputs([new_code_cell("2")], [ran], "page")


def page(tmp_path, text):
    """Return what the writer needs of Sphinx for a page of this text."""
    path = tmp_path / "page.md"
    path.write_text(text, encoding="utf-8")
    env = SimpleNamespace(
        doc2path=lambda name: path,
        found_docs={"book/page"},
        myst_config=References().syntax,
    )
    return SimpleNamespace(env=env)


def test_what_cannot_be_converted_stops_with_file_and_line(tmp_path, monkeypatch):
    text = "# Title\n\n```{code-cell} python\n1\n```\n\n\nOne\n\n{other}`x`\n"
    app = page(tmp_path, text)
    cells = [new_code_cell("1")]
    monkeypatch.setattr(writer, "executed_cells", lambda *_: cells)
    with pytest.raises(ExtensionError, match=r"^book/page\.md:10: unknown role {other"):
        writer.page_notebook(app, "book/page", References(), "import this")


def test_a_folder_holds_these_notebooks_and_no_others(tmp_path):
    writer.store(tmp_path, {"a.ipynb": "1", "part/b.ipynb": "2"})
    before = (tmp_path / "a.ipynb").stat().st_mtime_ns
    writer.store(tmp_path, {"a.ipynb": "1"})
    assert [path.name for path in tmp_path.rglob("*.ipynb")] == ["a.ipynb"]
    assert (tmp_path / "a.ipynb").stat().st_mtime_ns == before
