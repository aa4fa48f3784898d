"""MyST becomes plain Markdown, or an error with its line."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from notebooks.plain_markdown import (
    MarkdownError,
    References,
    check,
    convert,
    convert_cells,
)


@pytest.fixture
def refs():
    titles = {"sec": "A section"}
    return References(
        title=lambda label: titles[label],
        number=lambda label: "Fig. 1.2",
        document=lambda name: f"Page {name}",
        cite=lambda keys, in_text: f"<{keys}, {in_text}>",
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
        check(f"Text.\n\n{text}", References())


def test_guard_leaves_code_alone():
    check(
        "`` {ref}`x` `` and `{x}`\n\n```md\n{ref}`x`\n(label)=\n:::{note}\n```",
        References(),
    )


def test_what_stands_in_lists_quotes_and_tables(refs):
    text = (
        "- {ref}`sec`\n\n  ```{note} One\n  two\n  ```\n"
        "- $a\n  = b$ {cite:t}`k`,\n  c\n"
        "1. ```{tip}\n   {doc}`x`\n   ```\n\n"
        "> {doc}`x` and $a\n> = b$\n>\n> ```{tip}\n> In.\n> ```\n\n"
        "| {ref}`sec` | a {ref}`sec` |\n| - | - |\n| `x` | {math}`a` \\| [](#sec) |\n"
    )
    assert convert(text, refs) == (
        "- A section\n\n  > **Note**\n  >\n  > One\n  > two\n\n"
        "- $a = b$ <k, True>,\n  c\n"
        "1. > **Tip**\n   >\n   > Page x\n\n"
        "> Page x and $a = b$\n>\n>\n> > **Tip**\n> >\n> > In.\n>\n\n"
        "| A section | a A section |\n| - | - |\n| `x` | $a$ \\| A section |"
    )


@pytest.mark.parametrize(
    "text",
    [
        "{other}`x`",
        "{cite:year}`x`",
        ":::{strange}\n:::",
        "A word[^1].\n\n[^1]: A footnote.",
        "Term\n: what it means",
        "[a link](inv:python)",
        ":::python\n:::",
        "- item\n\n  :::{strange}\n  :::",
        "| a |\n| - |\n| {other}`x` |",
    ],
)
def test_what_has_no_rule_is_an_error(refs, text):
    with pytest.raises(MarkdownError):
        convert(text, refs)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("One.\n\nTwo\nand {other}`x`.", 3),
        (":::{note} One {other}`x`\nTwo.\n:::", 0),
        ("Before.\n\n:::{admonition} Title\n:class: tip\n\nOne.\n{other}`x`\n:::", 6),
        (
            "````{note}\n\n```{exercise} A\n:label: b\n\nOne.\n\n{other}`x`\n```\n````",
            7,
        ),
        ("- one\n- two\n\n  :::{strange}\n  :::", 3),
        (
            ":::{list-table}\n:header-rows: 1\n\n* - a\n  - b\n* - {other}`x`\n:::",
            5,
        ),
    ],
)
def test_an_error_has_the_line_of_its_cause(refs, text, line):
    with pytest.raises(MarkdownError) as caught:
        convert(text, refs)
    assert caught.value.line == line


def test_an_error_in_a_later_cell_has_the_line_of_the_page(refs):
    cells = [new_code_cell("1"), new_markdown_cell("One.\n\n{other}`x`")]
    with pytest.raises(MarkdownError) as caught:
        convert_cells(cells, refs, [3, 10])
    assert caught.value.line == 12


def test_links_with_roles_images_and_references(refs):
    out = '<https://x.org> [b][c] [d](https://x.org/é_(f) "A title")\n\n[c]: https://x.org'
    text = (
        f"[see {{ref}}`sec`](x.md) [{{ref}}`sec`](mailto:a@b.c) ![a $x$](p/q.svg) {out}"
    )
    plain = f"see A section [A section](mailto:a@b.c) ![a $x$](p/q.svg) {out}"
    assert convert(text, refs) == plain
