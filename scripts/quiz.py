"""Write the predictions of all chapters as a quiz bank in Moodle's GIFT format.

usage: python scripts/quiz.py OUT

Each prediction becomes an essay question. It brings the text in front of it, figures
in words, and the code that it speaks of; its feedback is the verdict that follows it
in the chapter, or else the text. The question of a lab's preset that has the
name of a chapter becomes a multiple choice. Nothing is written twice: the chapters
and the presets are the source.
"""

import html
import re
import sys
from pathlib import Path

import yaml
from markdown_it import MarkdownIt
from mdit_py_plugins.colon_fence import colon_fence_plugin

from contents import chapters

ROOT = Path(__file__).parents[1]
_ROLE = re.compile(r"\{[\w:]+\}`([^`<]*?)\s*(?:<[^`>]*>)?`")
_CITED = re.compile(r"\s*\{cite(?::\w+)?\}`[^`]*`")
_FIGURE = re.compile(r"\{numref\}`(?:[^`<]*<)?([\w-]+)>?`")
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\([^)]*\)")
_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.DOTALL)
_SPECIAL = re.compile(r"([\\~=#{}:])")
_MOST = 3  # blocks of text that a question or an answer brings


def blocks(text):
    """Yield kind, options and text of each block of a page.

    The kind is ``"heading"``, ``"text"``, or a directive's name with its title.
    """
    lines = text.splitlines()
    for token in MarkdownIt().use(colon_fence_plugin).parse(text):
        if token.level or not token.map:
            continue
        source = "\n".join(lines[slice(*token.map)])
        if token.type in ("fence", "colon_fence"):
            options, content = _options(token.content)
            yield token.info.strip(), options, content
        elif token.type == "heading_open":
            yield "heading", {}, source.lstrip("# ")
        elif not re.fullmatch(r"\([\w-]+\)=|%.*|---", source):
            yield "text", {}, source


def _options(content):
    """Return a directive's options and the rest of its text."""
    front = re.match(r"---\n(.*?)\n---\n?", content, re.DOTALL)
    if front:
        return yaml.safe_load(front[1]) or {}, content[front.end() :].strip()
    lines = content.splitlines()
    kept = [line for line in lines if not re.match(r":\w+:", line)]
    return {}, "\n".join(kept).strip()


def figures(root):
    """Return what each figure of the book shows, in words, by its name."""
    found = {}
    for page in sorted((root / "book").glob("*.md")):
        for _, options, _ in blocks(page.read_text("utf-8")):
            shown = options.get("mystnb") or {}
            if name := (shown.get("figure") or {}).get("name"):
                found[name] = (shown.get("image") or {}).get("alt", "")
    return found


def predictions(text):
    """Return a dict a prediction: the text before it, itself, code, what follows."""
    found, before, open_ = [], [], None
    for kind, options, content in blocks(text):
        alt = ((options.get("mystnb") or {}).get("image") or {}).get("alt")
        if kind == "heading":
            before, open_ = [], None
        elif kind.startswith("{admonition} Predict"):
            open_ = {"before": before[-_MOST:], "question": content, "code": []}
            open_ |= {"after": [], "verdict": ""}
            found.append(open_)
            before = []
        elif kind.startswith("{admonition} Verdict"):
            if found and not found[-1]["verdict"]:
                found[-1]["verdict"] = content
        elif kind == "text":
            before.append(content)
            if open_:
                open_["after"].append(content)
        elif kind == "{math}":
            before.append(f"$${content}$$")
        elif kind.startswith("{code-cell}"):
            if alt:
                before.append(f"Figure: {alt}")
            if open_ and not open_["after"]:
                open_["code"].append(content)
    return found


def essay_parts(one):
    """Return question and feedback of a prediction, as Markdown."""
    question = one["question"]
    parts = [*one["before"], question]
    if re.search(r"\bbelow\b", question):
        # What stands below in the chapter stands below in the question.
        parts += [f"```\n{code}\n```" for code in one["code"][:2]]
    answer = one["verdict"] or "\n\n".join(one["after"][:_MOST])
    return "\n\n".join(parts), answer


def to_html(text, shown=None):
    r"""Return Markdown as HTML in one line; formulas stand in ``\( \)``, roles go."""
    shown, formulas = shown or {}, []
    named = [name for name in _FIGURE.findall(text) if shown.get(name)]
    text = _ROLE.sub(r"\1", _FIGURE.sub("the figure", _CITED.sub("", text)))

    def keep(match):
        formulas.append(match)
        return f"FORMULA{len(formulas) - 1}X"

    # Markdown would take the backslashes, and Moodle's MathJax needs them.
    text = _FORMULA.sub(keep, _LINK.sub(r"\1", text))
    text += "".join(f"\n\nThe figure: {shown[name]}" for name in dict.fromkeys(named))
    made = MarkdownIt().render(text).strip()
    for number, match in enumerate(formulas):
        block, line = match.groups()
        inner = html.escape(" ".join((block or line).split()), quote=False)
        formula = rf"\[{inner}\]" if block else rf"\({inner}\)"
        made = made.replace(f"FORMULA{number}X", formula)
    pre = re.sub(r"(?s)<pre>.*?</pre>", lambda m: m[0].replace("\n", "<br>"), made)
    return " ".join(pre.split(None)) if "<pre>" not in pre else pre.replace("\n", " ")


def escape(text):
    """Return a text in which GIFT sees no control characters."""
    return _SPECIAL.sub(r"\\\1", text)


def essay(name, question, answer, shown=None):
    """Return an essay question with its feedback."""
    asked, told = escape(to_html(question, shown)), escape(to_html(answer, shown))
    return f"::{escape(name)}::[html]{asked}{{\n####{told}\n}}"


def choice(name, preset):
    """Return a multiple choice of one of the lab's presets."""
    lines = [
        f"{'=' if number == preset['answer'] else '~'}{escape(to_html(text))}"
        for number, text in enumerate(preset["choices"])
    ]
    body = "\n".join(lines)
    because, question = to_html(preset["because"]), to_html(preset["question"])
    return (
        f"::{escape(name)}::[html]{escape(question)}{{\n{body}\n"
        f"####{escape(because)}\n}}"
    )


def bank(root):
    """Return the whole bank of the book in a folder."""
    parts = ["// Questions of a course on vanishing and exploding gradients, CC BY 4.0"]
    presets = yaml.safe_load((root / "book/_ext/lab/presets.yml").read_text("utf-8"))
    shown = figures(root)
    for page, text in chapters(root).items():
        found = predictions(text)
        made = [
            essay(f"{page} {number}", *essay_parts(one), shown)
            for number, one in enumerate(found, 1)
        ]
        if "question" in presets.get(page, {}):
            made.append(choice(f"{page} lab", presets[page]))
        if made:
            parts += [f"$CATEGORY: gradients/{page}", *made]
    return "\n\n".join(parts) + "\n"


def main(arguments):
    """Write the bank to the file that is named."""
    if len(arguments) != 1:
        raise SystemExit(__doc__)
    out = Path(arguments[0])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(bank(ROOT), encoding="utf-8")
    print(out)


if __name__ == "__main__":
    main(sys.argv[1:])
