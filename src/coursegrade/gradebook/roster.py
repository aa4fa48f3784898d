"""Who is in the class, and what a learning platform calls them."""

import unicodedata
from dataclasses import dataclass
from functools import cached_property

from coursegrade.gradebook.hand_ins import plain
from coursegrade.gradebook.sheets import read_sheet


@dataclass(frozen=True)
class Roster:
    """``ids`` of the class, and ``by_label`` from what stands in a path."""

    ids: tuple[str, ...]
    by_label: dict[str, str]

    def find(self, *labels):
        """Return the id of whom one of these labels names, or an empty text."""
        texts = [folded(label) for label in labels]
        known = (self.by_label.get(text, "") for text in texts)
        bare = (self._bare.get(text.lstrip("0"), ()) for text in texts if _number(text))
        alike = (min(ids) for ids in bare if len(ids) == 1)
        return next(filter(None, known), "") or next(alike, "")

    @cached_property
    def _bare(self):
        """The ids by numbers without the zeros in front, which a spreadsheet drops."""
        made = {}
        for label, one in self.by_label.items():
            if _number(label):
                made.setdefault(label.lstrip("0"), set()).add(one)
        return made


def read_roster(path):
    """Read a roster: the columns ``id`` and, where a path says another, ``submission``.

    Raises
    ------
    SheetError
        If a column or an id is missing, or one stands there twice.
    """
    sheet, by_label, ids = read_sheet(path, ("id",)), {}, []
    for number, student, line in sheet.by_id():
        ids.append(student)
        label = folded(line.get("submission") or student)
        if label in by_label:
            raise sheet.error(
                number, f"{label!r} is both {by_label[label]!r} and {student!r}"
            )
        by_label[label] = student
    for student in ids:
        by_label.setdefault(folded(student), student)
    return Roster(tuple(ids), by_label)


def _number(text):
    return text.isascii() and text.isdigit()


def folded(text):
    """Return a text in which case, width and composition of letters do not count."""
    return unicodedata.normalize("NFKC", plain(text)).casefold()
