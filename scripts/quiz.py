"""Write the predictions of all chapters as a quiz bank in Moodle's GIFT format.

usage: python scripts/quiz.py OUT

Each prediction becomes an essay question, whose feedback is the verdict that
follows it in the chapter; each question of the lab's presets becomes a multiple
choice. Nothing is written twice: the chapters and the presets are the source.
"""

import re
import sys
from pathlib import Path

import yaml
from markdown_it import MarkdownIt
from mdit_py_plugins.colon_fence import colon_fence_plugin

from contents import chapters

ROOT = Path(__file__).parents[1]
_ROLE = re.compile(r"\{[\w:]+\}`([^`<]*?)\s*(?:<[^`>]*>)?`")
_SPECIAL = re.compile(r"([\\~=#{}:])")


def boxes(text):
    """Yield title and content of each admonition of a page."""
    for token in MarkdownIt().use(colon_fence_plugin).parse(text):
        if token.type == "colon_fence" and token.info.startswith("{admonition}"):
            lines = token.content.splitlines()
            kept = [line for line in lines if not re.match(r":\w+:", line)]
            title = token.info.removeprefix("{admonition}").strip()
            yield title, "\n".join(kept).strip()


def predictions(text):
    """Return the pairs of a prediction and the verdict after it, or nothing."""
    found = []
    for title, content in boxes(text):
        if title.startswith("Predict"):
            found.append([content, ""])
        elif title.startswith("Verdict") and found and not found[-1][1]:
            found[-1][1] = content
    return found


def escape(text):
    r"""Return text for GIFT: one line, ``\( \)`` for formulas, no roles."""
    text = _ROLE.sub(r"\1", text)
    text = re.sub(r"\$\$?(.+?)\$\$?", r"\\(\1\\)", text, flags=re.DOTALL)
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def essay(name, question, verdict):
    """Return an essay question with the verdict as its feedback."""
    feedback = f"\n####{escape(verdict)}" if verdict else ""
    return f"::{escape(name)}::[markdown]{escape(question)}{{{feedback}\n}}"


def choice(name, preset):
    """Return a multiple choice of one of the lab's presets."""
    lines = [
        f"{'=' if number == preset['answer'] else '~'}{escape(text)}"
        for number, text in enumerate(preset["choices"])
    ]
    body = "\n".join(lines)
    because = escape(preset["because"])
    question = escape(preset["question"])
    return f"::{escape(name)}::[markdown]{question}{{\n{body}\n####{because}\n}}"


def bank(root):
    """Return the whole bank of the book in a folder."""
    parts = ["// Questions of a course on vanishing and exploding gradients, CC BY 4.0"]
    presets = yaml.safe_load((root / "book/_ext/lab/presets.yml").read_text("utf-8"))
    for page, text in chapters(root).items():
        found = predictions(text)
        made = [
            essay(f"{page} {number}", question, verdict)
            for number, (question, verdict) in enumerate(found, 1)
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
