"""The conversion to plain notebooks and the key of the execution cache."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbformat.v4 import new_code_cell, new_markdown_cell
from packaging.requirements import Requirement
from pybtex.database import parse_string

import execution_cache
from coursekit.colab import commit, setup_source
from notebooks import writer
from notebooks.plain_markdown import (
    MarkdownError,
    References,
    check,
    convert,
    convert_cells,
)
from notebooks.targets import Citations

ROOT = Path(__file__).parents[2]
BIB = """
@article{two, author = {Glorot, Xavier and Bengio, Yoshua}, year = {2010},
  title = {T}, doi = {10.1/x(1)}}
@article{three, author = {M{\\"u}ller, A and B, C and D, E}, year = {1998}, title = {T}}
"""


@pytest.fixture
def refs():
    cite = Citations(parse_string(BIB, "bibtex"))
    titles = {"sec": "A section"}
    return References(
        title=lambda label: titles[label],
        number=lambda label: "Fig. 1.2",
        document=lambda name: f"Page {name}",
        cite=cite,
    )


def test_admonition_becomes_a_quote(refs):
    text = ":::{admonition} Key $x$\n:class: tip\n\nFirst.\n\n- item\n:::\nAfter."
    assert convert(text, refs) == "> **Key $x$**\n>\n> First.\n>\n> - item\n\nAfter."


def test_a_lab_becomes_one_line(refs):
    text = "Before.\n\n```{lab} vanishing\n{numref}`fig` shows it.\n```\n\nAfter."
    plain = "Before.\n\n*Open the live lab in the online book.*\n\nAfter."
    assert convert(text, refs) == plain


def test_formulas_in_a_quote_have_one_line(refs):
    text = ":::{note}\n$$\na\n= b\n$$\n\nand $c\n= d$\n:::"
    assert convert(text, refs) == "> **Note**\n>\n> $$ a = b $$\n>\n> and $c = d$"


def test_nested_fences(refs):
    text = (
        "````{note}\n```{tip} Inner\n~~~python\n{ref}`x`\n~~~\n```\n````\n"
        "```md\n:::{note}\n:::\n{ref}`y`\n```"
    )
    assert convert(text, refs) == (
        "> **Note**\n>\n> > **Tip**\n> >\n> > Inner\n> > ~~~python\n"
        "> > {ref}`x`\n> > ~~~\n\n```md\n:::{note}\n:::\n{ref}`y`\n```"
    )


def test_roles(refs):
    text = "{ref}`sec`, {ref}`that <sec>`, {doc}`other`, {numref}`f`, {math}`x_1`"
    expected = "A section, that, Page other, Fig. 1.2, $x_1$"
    assert convert(text, refs) == expected
    assert convert("`` {ref}`sec` `` and `{x}`", refs) == "`` {ref}`sec` `` and `{x}`"
    with pytest.raises(MarkdownError, match="unknown role {other}"):
        convert("{other}`x`", refs)


def test_citations(refs):
    link = "https://doi.org/10.1/x%281%29"
    assert convert("{cite:t}`two`", refs) == f"[Glorot and Bengio (2010)]({link})"
    expected = f"([Glorot and Bengio, 2010]({link}); Müller et al., 1998)"
    assert convert("{cite:p}`two,three`", refs) == expected
    with pytest.raises(MarkdownError, match="no entry"):
        convert("{cite}`four`", refs)


def test_links(refs):
    text = "[one](other.md), [two](#sec), [](#sec), [out](https://example.org)"
    expected = "one, two, A section, [out](https://example.org)"
    assert convert(text, refs) == expected


def test_labels_and_comments_go(refs):
    assert convert("(a-label)=\n# Title\n\n% no\n\nText.", refs) == "# Title\n\nText."
    assert convert("$$\nx\n$$ (eq)", refs) == "$$\nx\n$$"


def test_blank_lines_of_code_stay(refs):
    text = "```python\na\n\n\nb\n```"
    assert convert(text, refs) == text


def test_list_table(refs):
    text = ":::{list-table}\n:header-rows: 1\n\n* - a\n  - b\n* - c\n  - d\n    e\n:::"
    assert convert(text, refs) == "| a | b |\n| --- | --- |\n| c | d e |"


def test_exercise(refs):
    text = "```{exercise} Softplus\n:label: ex\nFind $x$.\n```"
    assert convert(text, refs) == "**Exercise 1 (Softplus)**\n\nFind $x$."


def test_gated_solution_takes_its_code(refs):
    cells = [
        new_markdown_cell("Before.\n\n```{solution-start} ex\n:class: dropdown\n```"),
        new_markdown_cell("Think."),
        new_code_cell("x = 1"),
        new_markdown_cell("```{solution-end}\n```\n\nAfter."),
        new_code_cell("y = 2"),
    ]
    before, solution, after, code = convert_cells(cells, refs)
    assert before == ("markdown", "Before.")
    assert solution == (
        "markdown",
        "<details>\n<summary>Solution</summary>\n\nThink.\n\n"
        "```python\nx = 1\n```\n\n</details>",
    )
    assert after == ("markdown", "After.")
    assert code[1].source == "y = 2"
    with pytest.raises(MarkdownError, match="without its end"):
        convert_cells(cells[:3], refs)


def test_unknown_directive(refs):
    with pytest.raises(MarkdownError, match="unknown directive {strange}"):
        convert(":::{strange}\n:::", refs)


@pytest.mark.parametrize(
    "text", ["{ref}`x`", ":::{note}\n:::", "> ```{tip}\n> ```", "(label)="]
)
def test_guard(text):
    with pytest.raises(MarkdownError):
        check(f"Text.\n\n{text}")


def test_guard_leaves_code_alone():
    check("`` {ref}`x` `` and `{x}`\n\n```md\n{ref}`x`\n(label)=\n:::{note}\n```")


def test_notebook(refs):
    cells = [
        new_markdown_cell("# Title"),
        new_code_cell("1", execution_count=7, metadata={"tags": ["a"], "x": 1}),
    ]
    first = setup_source("owner/name", "abc")
    notebook = writer.plain_notebook(cells, "part/page", refs, first)
    ids = [cell.id for cell in notebook.cells]
    assert ids == ["part-page-setup", "part-page-1", "part-page-2"]
    assert notebook.cells[2].execution_count == 2
    assert notebook.cells[2].metadata == {"tags": ["a"]}
    assert max(map(len, first.split("\n"))) <= 72


@pytest.fixture
def run_first_cell(monkeypatch, capsys):
    """Run a first cell; return what it installs and what it prints."""

    def run(source, in_colab, installed):
        lines = []
        shell = InteractiveShell()
        shell.register_magic_function(lines.append, magic_name="pip")
        if in_colab:
            monkeypatch.setitem(sys.modules, "google.colab", ModuleType("colab"))
        with monkeypatch.context() as patch:
            found = object() if installed else None
            patch.setattr("importlib.util.find_spec", lambda name: found)
            shell.run_cell(source).raise_error()
        return lines, capsys.readouterr().out

    return run


FIRST_CELLS = {
    "repository": setup_source("owner/name", "abc"),
    "clone": setup_source("", "abc"),
}


@pytest.mark.parametrize("kind", FIRST_CELLS)
@pytest.mark.parametrize(("colab", "there"), [(False, False), (True, True)])
def test_first_cell_does_nothing(run_first_cell, kind, colab, there):
    """Neither outside Colab nor when the helpers are there."""
    assert run_first_cell(FIRST_CELLS[kind], colab, there) == ([], "")


def test_first_cell_installs_the_commit(run_first_cell):
    lines, printed = run_first_cell(FIRST_CELLS["repository"], True, False)
    url = "git+https://github.com/owner/name@abc"
    assert lines == [f'install -q "gradient-coursekit @ {url}"'] and printed == ""
    assert str(Requirement(lines[0].split('"')[1]).url) == url


@pytest.mark.parametrize("known", [("", "abc"), ("owner/name", ""), ("", "")])
def test_first_cell_tells_of_the_clone(run_first_cell, known):
    lines, printed = run_first_cell(setup_source(*known), True, False)
    assert lines == [] and "`pip install .`" in printed and "clone" in printed


@pytest.mark.parametrize("kind", FIRST_CELLS)
def test_first_cell_passes_linter_and_nbval(tmp_path, refs, kind):
    notebook = writer.plain_notebook([], "page", refs, FIRST_CELLS[kind])
    nbformat.write(notebook, tmp_path / "page.ipynb")
    lint = ["ruff", "check", "--config", str(ROOT / "pyproject.toml")]
    nbval = ["pytest", "--nbval", "--nbval-current-env", "-q"]
    for tool, passed in ((lint, "All checks passed"), (nbval, "1 passed")):
        command = [sys.executable, "-m", *tool, str(tmp_path)]
        run = subprocess.run(command, capture_output=True, text=True)
        assert run.returncode == 0 and passed in run.stdout, run.stdout + run.stderr


def test_commit(monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_SHA", "abc")
    assert commit(tmp_path) == "abc"
    monkeypatch.delenv("GITHUB_SHA")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit(tmp_path) == ""


def test_colab_keeps_its_versions():
    """An install in Colab must leave its TensorFlow, Keras and NumPy alone."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ranges = {r.name: r.specifier for r in map(Requirement, project["dependencies"])}
    text = (ROOT / ".github" / "constraints" / "colab.txt").read_text()
    versions = dict(re.findall(r"^([a-z-]+)==([\d.]+)\.\*$", text, re.MULTILINE))
    assert {"tensorflow", "keras", "numpy", "matplotlib"} <= versions.keys()
    for name, version in versions.items():
        assert f"{version}.0" in ranges[name], name
    assert all("==" not in str(one) for one in ranges.values())


def test_outputs_belong_to_the_same_code():
    ran = new_code_cell("1", execution_count=3)
    ran.outputs = [{"output_type": "stream", "name": "stderr", "text": "w"}]
    cell = new_code_cell("1")
    writer.take_outputs([cell], [ran], "page")
    assert cell.execution_count == 3 and cell.outputs == []
    with pytest.raises(Exception, match="other code cells"):
        writer.take_outputs([new_code_cell("2")], [ran], "page")


def test_cache_key(tmp_path):
    package = tmp_path / "src/coursekit"
    package.mkdir(parents=True)
    module = package / "module.py"
    module.write_text("x = 1\n")
    before = execution_cache.cache_key(tmp_path)
    assert before == execution_cache.cache_key(tmp_path) and len(before) == 16
    module.write_text("x = 2\n")
    changed = execution_cache.cache_key(tmp_path)
    (tmp_path / "requirements.txt").write_text("numpy==2\n")
    latest = execution_cache.cache_key(tmp_path)
    assert len({before, changed, latest}) == 3
    # no page imports the grader
    grader = tmp_path / "src/coursegrade"
    grader.mkdir(parents=True)
    (grader / "module.py").write_text("x = 3\n")
    assert execution_cache.cache_key(tmp_path) == latest


def test_no_page_uses_the_grader():
    # Or a change of it would have to run the pages again.
    for page in (ROOT / "book").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        assert "coursekit.grading" not in text and "coursegrade" not in text


def test_old_caches_go(tmp_path):
    for name in "abcd":
        (tmp_path / name).mkdir()
    execution_cache.prune(tmp_path, "a")
    left = {path.name for path in tmp_path.iterdir()}
    assert "a" in left and len(left) == 3
