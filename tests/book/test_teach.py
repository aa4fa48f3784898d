"""The page for instructors: its lists, the quiz bank, the figures."""

import re
from pathlib import Path

import figures
import quiz
from coursegrade.gradebook.tables import COLUMNS
from coursegrade.statuses import Status

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "book/teach.md").read_text(encoding="utf-8")


def test_the_page_names_every_status_and_column():
    section = PAGE.partition("A status is one of")[2].partition("##")[0]
    assert set(re.findall(r"`(\w+)`", section)) == set(Status)
    # What takes no point says so.
    for line in section.replace("\n  ", " ").splitlines():
        worth = {Status(name).points for name in re.findall(r"`(\w+)`", line)}
        free = "not 0" in line or "No point is taken" in line
        assert ("open" in worth) == free, line
    assert ", ".join(COLUMNS) in PAGE


def test_quiz_bank():
    text = quiz.bank(ROOT)
    questions = re.findall(r"^::(.+?)::", text, re.MULTILINE)
    chapters = {name.split()[0] for name in questions}
    pages = (ROOT / "book").glob("*.md")
    asked = {page.stem for page in pages if "{admonition} Predict" in page.read_text()}
    assert asked <= chapters and len(questions) == len(set(questions))
    total = sum(
        page.read_text().count("{admonition} Predict")
        for page in (ROOT / "book").glob("*.md")
    )
    assert len([q for q in questions if not q.endswith("lab")]) == total
    for part in text.split("\n\n"):
        if not part.startswith("::"):
            continue
        # Every bracket that is not part of an answer block is escaped.
        bare = re.sub(r"\\.", "", part)
        assert bare.count("{") == bare.count("}") == 1, part
        # Every question has feedback, and no role, link or figure is left behind.
        feedback = part.partition("####")[2]
        assert len(re.sub(r"<[^>]*>", "", feedback)) > 40, part
        assert not re.search(r"\w`|\]\(|fig-|FORMULA", part), part
        if "the figure" in part.lower():
            assert "igure\\:" in part, part


def moodle(text):
    """Return what Moodle's import keeps of a text in GIFT."""
    text = text.replace("\\\\", "\0")
    text = re.sub(r"\\([:#={}~])", r"\1", text)
    return text.replace("\0", "\\")


def test_formulas_survive_moodle():
    page = r"With $\nu_{\max} < 1$ and $$\tfrac{a}{b} \\ c$$ *and* `x_1 = {2}`: [a](b)"
    kept = moodle(quiz.escape(quiz.to_html(page)))
    assert r"\(\nu_{\max} &lt; 1\)" in kept and r"\[\tfrac{a}{b} \\ c\]" in kept
    assert "<em>and</em> <code>x_1 = {2}</code>: a" in kept
    # Markdown, which would take the backslashes, has no part in it.
    assert "[markdown]" not in quiz.bank(ROOT)
    assert quiz.bank(ROOT).count(r"\\(") > 20


def test_a_question_brings_what_it_speaks_of():
    page = (
        "# A\n\nOld.\n\n## B\n\nThe network.\n\n```{code-cell} ipython3\n---\nmystnb:\n"
        "  image:\n    alt: A line.\n  figure:\n    name: fig-a\n---\nplot()\n```\n\n"
        ":::{admonition} Predict\n:class: tip\n\nWhich of those below?\n:::\n\n"
        "```{code-cell} ipython3\npairs = 1\n```\n\nThe first.\n\n## C\n\nMore.\n"
    )
    (one,) = quiz.predictions(page)
    question, answer = quiz.essay_parts(one)
    assert question == (
        "The network.\n\nFigure: A line.\n\nWhich of those below?\n\n"
        "```\npairs = 1\n```"
    )
    assert answer == "The first."
    assert quiz.to_html("See {numref}`fig-a`.", {"fig-a": "A line."}) == (
        "<p>See the figure.</p> <p>The figure: A line.</p>"
    )


def test_quiz_escapes():
    assert quiz.escape("a = {b}: #~\\") == r"a \= \{b\}\: \#\~\\"
    assert quiz.to_html("see {doc}`lab` and {ref}`this <there>`, {cite}`x1`") == (
        "<p>see lab and this,</p>"
    )


FIGURES = """---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A page

```{code-cell} ipython3
import matplotlib.pyplot as plt
from coursekit import plots

plots.use_style()
```

```{code-cell} ipython3
---
mystnb:
  figure:
    name: fig-line
---
_, ax = plt.subplots()
ax.plot([1, 2])
```

```{code-cell} ipython3
plt.plot([2, 1])
```

```{code-cell} ipython3
---
mystnb: {figure: {name: fig-point}}
---
plt.scatter([1], [2])
```
"""


def test_figures(tmp_path, monkeypatch):
    assert "clipping" in figures.with_code()
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    (tmp_path / "book").mkdir()
    (tmp_path / "book/page.md").write_text(FIGURES, encoding="utf-8")
    out = tmp_path / "figures"
    figures.main([str(out), "page"])
    for ending, start in (("svg", b"<?xml"), ("pdf", b"%PDF")):
        found = {path.stem: path.read_bytes() for path in out.glob(f"*.{ending}")}
        assert found.keys() == {"fig-line", "fig-point"}
        assert all(content.startswith(start) for content in found.values())
    assert "CC BY" in (out / "LICENCE.txt").read_text()
