"""The book's syntax, and what its pages say: all that a conversion has to know."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser


class MarkdownError(Exception):
    """The text has something that this module cannot convert.

    Attributes
    ----------
    line : int
        Where it stands, counted from 0.
    """

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


@contextmanager
def placed(line: int) -> Iterator[None]:
    """Count the line of an error from the start of the text around."""
    try:
        yield
    except MarkdownError as error:
        error.line += line
        raise


def same(text: str) -> str:
    return text


@dataclass
class References:
    """The book's syntax, and what its pages and its bibliography say."""

    title: Callable[[str], str] = same
    number: Callable[[str], str] = same
    document: Callable[[str], str] = same
    equation: Callable[[str], str] = lambda label: ""
    cite: Callable[[str, bool], str] = lambda keys, in_text: keys
    image: Callable[[str], str] = same
    exercise: Callable[[str], str] = lambda label: ""
    #: a text that points to a target of a kind: document, label, term, python
    linked: Callable[[str, str, str], str] = lambda kind, target, text: text
    #: the live lab of a preset
    lab: Callable[[str], str] = lambda preset: "*The book's page has a live lab here.*"
    hide_solutions: bool = False
    syntax: MdParserConfig = field(
        default_factory=lambda: MdParserConfig(
            enable_extensions={"amsmath", "colon_fence", "deflist", "dollarmath"}
        )
    )
    count: int = 0
    #: What is defined anywhere in the page: targets of links, labels of footnotes.
    defined: dict = field(default_factory=dict)
    #: The texts of its footnotes, in the order of their numbers.
    footnotes: dict[str, str] = field(default_factory=dict)

    def footnote(self, label: str) -> int:
        """Return the number of a footnote: they count from the first reference."""
        self.footnotes.setdefault(label, "")
        return list(self.footnotes).index(label) + 1

    def parse(self, text: str) -> list[Token]:
        return self.parser.parse(text, self._environment())

    def parse_inline(self, text: str) -> Token:
        return self.parser.parseInline(text, self._environment())[0]

    def _environment(self) -> dict:
        notes = dict.fromkeys(self.defined.get("footnotes", {}).get("refs", ()), -1)
        links = dict(self.defined.get("references", {}))
        return {"footnotes": {"refs": notes}, "references": links}

    def exercise_number(self, label: str) -> str:
        self.count += 1
        return self.exercise(label) or str(self.count)

    @cached_property
    def parser(self) -> MarkdownIt:
        """MyST's parser, whose inline tokens know where they stand."""
        parser = create_md_parser(self.syntax, RendererHTML).disable("front_matter")
        rules = parser.inline.ruler
        names, functions = rules.get_active_rules(), rules.getRules("")
        for name, rule in zip(names, functions, strict=True):
            rules.at(name, _recorded(rule))
        return parser


def _recorded(rule):
    """Return an inline rule that notes where its tokens begin and end."""

    def record(state: StateInline, silent: bool) -> bool:
        start, count = state.pos, len(state.tokens)
        found = rule(state, silent)
        for token in state.tokens[count:]:
            token.meta.setdefault("span", (start, state.pos))
        return found

    return record
