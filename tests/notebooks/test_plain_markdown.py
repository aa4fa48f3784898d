"""MyST becomes plain Markdown, or an error with its line."""

from textwrap import indent

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from notebooks.plain_markdown import check, convert, convert_cells, quote
from notebooks.references import MarkdownError, References


def test_admonition_becomes_a_quote(refs):
    text = ":::{admonition} Key $x$\n:class: tip\n\nFirst.\n\n- item\n:::\nAfter."
    assert convert(text, refs) == "> **Key $x$**\n>\n> First.\n>\n> - item\n\nAfter."


def test_a_lab_becomes_one_line(refs):
    text = "Before.\n\n```{lab} vanishing\n{numref}`fig` shows it.\n```\n\nAfter."
    plain = "Before.\n\n*Lab vanishing*\n\nAfter."
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
        "A word[^1].",
        "- A word[^note]",
        "## Title {#anchor}",
        "A [word]{.class}",
        "{#anchor}\nA paragraph.",
        '<img src="img/a.png" width="100">',
        "Text <IMG alt=x SRC='img/a.png'>.",
        "<a\nhref=other.html>x</a>",
        '<p style="background: url(a.png)">x</p>',
        "> - <video poster=//x.org/a></video>",
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


def test_a_target_may_stand_in_another_cell(refs):
    sources = ["See [one][r], [^a].", "[r]: https://x.org"]
    cells = [new_markdown_cell(sources[0]), new_code_cell("1")]
    cells.append(new_markdown_cell(sources[1]))
    with pytest.raises(MarkdownError, match=r"as it is: \[\^a\]"):
        convert_cells(cells, refs)
    cells[2].source += "\n\n[^a]: Where $x\n    = y$.\n\n    - more\n\n[^b]: Last."
    cells.append(new_markdown_cell("Then[^b] and[^a]."))
    first, _, target, then, notes = [
        content for _, content in convert_cells(cells, refs)
    ]
    assert first == "See [one](<https://x.org>), <sup>1</sup>."
    assert target == "[r]: https://x.org"
    assert then == "Then<sup>2</sup> and<sup>1</sup>."
    assert notes == ("**Footnotes**\n\n1. Where $x = y$.\n\n   - more\n2. Last.")


def test_definitions_become_a_list(refs):
    text = (
        "*Term* {ref}`sec`\n: meaning\n  of it\n\n  $$\n  x\n  $$\n\n~ other\n\nText."
    )
    plain = (
        "***Term* A section**\n\n- meaning\n  of it\n\n  $$\n  x\n  $$\n\n"
        "- other\n\nText."
    )
    assert convert(text, refs) == plain


ALIGNED = "\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}"
IN_LINE = r"\begin{align} a &= b \\ c &= d \end{align}"
COMMENTED = "a &= 50\\%  % by definition\n\\\\% so\nc &= d"
CLEAN = r"a &= 50\% \\ c &= d"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (f":::{{important}}\n{ALIGNED}\n:::", f"> **Important**\n>\n> {IN_LINE}"),
        (quote(ALIGNED), f"> {IN_LINE}"),
        (f"- a\n\n{indent(quote(ALIGNED), '  ')}", f"- a\n\n  > {IN_LINE}"),
        (f"```{{tip}}\n$$\n{COMMENTED}\n$$\n```", f"> **Tip**\n>\n> $$ {CLEAN} $$"),
        (quote(f"$$\n{COMMENTED}\n$$"), f"> $$ {CLEAN} $$"),
        (
            f":::{{math}}\n:label: eq\n{COMMENTED} % c\n:::",
            f"$$\n{COMMENTED} % c\n\\tag{{3}}\n$$",
        ),
        ("One $a % b\n= c$.", "One $a = c$."),
        ("$$\na\n\n= b\n$$", "$$\na\n= b\n$$"),
        (ALIGNED, ALIGNED),
    ],
)
def test_formulas_stay_what_they_are(refs, text, plain):
    refs.equation = lambda label: "3"
    assert convert(text, refs).rstrip() == plain


HIDDEN = ":label: e1\nBody\n```\n\n```{solution} e1\n:hidden:\nThe answer is 4711.\n```"


def test_hidden_solutions_are_hidden(refs):
    text = "```{exercise} Ex\n" + HIDDEN
    assert convert(text, refs) == "**Exercise 1 (Ex)**\n\nBody"
    shown = text.replace(":hidden:\n", "")
    assert "4711" in convert(shown, refs)
    refs.hide_solutions = True
    assert "4711" not in convert(shown, refs)
    assert convert("```{exercise} Ex\n:hidden:\nBody\n```", refs) == ""


@pytest.mark.parametrize("option", [":hidden:\n", ""])
def test_hidden_gated_solutions_are_hidden_with_their_cells(refs, option):
    refs.hide_solutions = not option
    cells = [
        new_markdown_cell(f"Before.\n\n```{{solution-start}} e\n{option}```\n\n4711"),
        new_code_cell("print(4711)"),
        new_markdown_cell("4711\n\n```{solution-end}\n```\n\nAfter."),
    ]
    kept = [("markdown", "Before."), ("markdown", "After.")]
    assert convert_cells(cells, refs) == kept


def test_what_is_folded_stays_folded(refs):
    text = (
        ":::{admonition} Proof of $x$\n:class: important dropdown\n$$\na\n= b\n$$\n:::"
    )
    assert convert(text, refs) == (
        "<details>\n<summary>Proof of $x$</summary>\n\n$$\na\n= b\n$$\n\n</details>"
    )
