"""Who is in the class, and what a learning platform calls them."""

import unicodedata
from dataclasses import dataclass

from coursegrade.gradebook.hand_ins import plain
from coursegrade.gradebook.sheets import read_sheet


@dataclass(frozen=True)
class Roster:
    """``ids`` of the class, and ``by_label`` from what stands in a path."""

    ids: tuple[str, ...]
    by_label: dict[str, str]

    @property
    def numbers(self):
        """Ids by what a path calls them: an id itself only where it has no other."""
        own = {one for label, one in self.by_label.items() if label != folded(one)}
        known = self.by_label.items()
        return {k: one for k, one in known if k != folded(one) or one not in own}

    def find(self, *labels):
        """Return the id of whom one of these labels names, or an empty text."""
        texts = [folded(label) for label in labels]
        known = [self.by_label.get(text) for text in texts]
        known += [by_number(text, self.by_label) for text in texts]
        return next(filter(None, known), "")


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


def by_number(text, known):
    """Return what a number has in a dict where others or no zeros are in front of it.

    A spreadsheet drops the zeros of 0071. Of several it is an empty text.
    """
    if not text.isdecimal():
        return ""
    bare = text.lstrip("0")
    alike = (key for key in known if key.isdecimal() and key.lstrip("0") == bare)
    found = {known[key] for key in alike}
    return found.pop() if len(found) == 1 else ""


def folded(text):
    """Return a text in which case, width and composition of letters do not count."""
    return unicodedata.normalize("NFKC", plain(text)).casefold()
