"""The rules of a style sheet that some page uses.

The theme's style is made for all that a page might have; this book's pages have a
tenth of it. A rule stays when each class and id of one of its selectors stands as a
word in a page or in a script, which adds classes of its own. So what stays is more
than what is needed, never less, and no browser is asked.
"""

import re

COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
STRING = r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'"""
#: What ends a prelude or a declaration; quoted texts and addresses hide theirs.
TOKEN = re.compile(
    rf"""{STRING}|url\((?:{STRING}|[^)"']*)\)|[{{}};]|[^{{}};"'u]+|.""", re.DOTALL
)
#: Rules whose body is made of rules.
GROUPS = ("@media", "@supports", "@layer", "@container")
#: A class or an id, as CSS writes it: `.col-md-4`, `.\31 st`.
NAME = re.compile(r"[.#]((?:\\.|[\w-])+)")
#: What selects by what an element is not, or by another's presence, is kept.
FUNCTION = re.compile(r":(?:not|has|is|where)\((?:[^()]|\([^()]*\))*\)|\[[^\]]*\]")
WORD = re.compile(r"[\w-]+")


def words(texts) -> set[str]:
    """Return all words of pages and scripts: no class or id has another name."""
    return set().union(*(WORD.findall(text) for text in texts))


def rules(css: str):
    """Yield the rules of a style sheet: what stands before the brace, and the body.

    A statement like ``@import`` has the body None.
    """
    depth, before, body = 0, [], []
    for token in TOKEN.findall(COMMENT.sub("", css)):
        if token == "{":
            depth += 1
            if depth == 1:
                continue
        elif token == "}":
            depth -= 1
            if depth == 0:
                yield "".join(before).strip(), "".join(body)
                before, body = [], []
                continue
        elif token == ";" and depth == 0:
            yield "".join(before).strip(), None
            before = []
            continue
        (body if depth else before).append(token)


def parts(selectors: str) -> list[str]:
    """Split a list of selectors at the commas outside of brackets."""
    found, depth = [""], 0
    for character in selectors:
        depth += (character in "([") - (character in ")]")
        if character == "," and not depth:
            found.append("")
        else:
            found[-1] += character
    return found


def used(selector: str, known: set[str]) -> bool:
    bare = FUNCTION.sub("", selector)
    return all(name.replace("\\", "") in known for name in NAME.findall(bare))


def selected(css: str, known: set[str]) -> str:
    """Return a style sheet of the rules, and of their selectors, that are used."""
    kept = []
    for before, body in rules(css):
        if body is None:
            kept.append(f"{before};")
        elif before.startswith(GROUPS):
            if inner := selected(body, known):
                kept.append(f"{before}{{{inner}}}")
        elif before.startswith("@"):
            kept.append(f"{before}{{{body.strip()}}}")
        elif left := [one.strip() for one in parts(before) if used(one, known)]:
            kept.append(f"{','.join(left)}{{{body.strip()}}}")
    return "\n".join(kept)
