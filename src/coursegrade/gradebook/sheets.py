"""Tables as people keep them: read what a spreadsheet made of one, write plain CSV."""

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from coursegrade.gradebook.hand_ins import plain
from coursegrade.gradebook.journal import write_atomically

# How files of Excel, LibreOffice and Numbers begin.
_BOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


class SheetError(ValueError):
    """A table cannot be used; the message names file, line and cure."""


@dataclass(frozen=True)
class Sheet:
    """A table that was read.

    ``columns`` are the names in the first line; ``lines`` pairs of a line's number
    and a dict of column to text, where what a short line lacks is empty.
    """

    path: Path
    columns: tuple[str, ...]
    lines: tuple[tuple[int, dict[str, str]], ...]

    def error(self, number, problem):
        """Return an error that names the file and the line."""
        return SheetError(f"{self.path}, line {number}: {problem}")

    def by_id(self):
        """Yield a line's number, its id and itself; each line has an id of its own."""
        seen = {}
        for number, line in self.lines:
            if not (one := plain(line["id"])):
                raise self.error(
                    number, f"no id for {' '.join(line.values()).strip()!r}"
                )
            if one in seen:
                raise self.error(number, f"the id {one!r} is that of line {seen[one]}")
            seen[one] = number
            yield number, one, line


def read_sheet(path, needed=()):
    """Return a CSV that commas, semicolons or tabs separate, in any usual encoding.

    Parameters
    ----------
    path : str or pathlib.Path
    needed : iterable of str
        Columns that must be there, in a table of ours: names are read in lower case,
        and cells as they were before :func:`guarded`.

    Raises
    ------
    SheetError
        If there is no such file, it is no CSV, or a column is missing; if a line has a
        quotation mark that is not closed or, in a table of ours, more cells than there
        are columns.
    """
    path = Path(path)
    if not path.is_file():
        raise SheetError(f"{path}: there is no such file")
    data, separators = path.read_bytes(), ",;\t"
    if data.startswith(_BOOKS):
        raise SheetError(f"{path}: a spreadsheet's own format; save the table as CSV")
    text = _decoded(data)
    if said := re.match(r"(?i)\s*sep=(.)\s*\n", text):
        text, separators = text[said.end() :], said[1]
    names, lines = _parsed(text, separators, path)
    if needed:
        names = [name.lower() for name in names]
        if absent := sorted(set(needed) - set(names)):
            raise SheetError(
                f"{path}: no column {', '.join(absent)}; its first line names "
                f"{', '.join(filter(None, names)) or 'none'}"
            )
        if twice := [name for name in needed if names.count(name) > 1]:
            raise SheetError(f"{path}: two columns {twice[0]}; keep one")
        lines = [(number, list(map(_unguarded, cells))) for number, cells in lines]
    rows = []
    for number, cells in lines:
        if any(cells):
            if needed and any(cells[len(names) :]):
                raise SheetError(
                    f"{path}, line {number}: {len(cells)} cells under {len(names)} "
                    "columns; put what has a separator in it, 2,5 say, into quotation "
                    "marks"
                )
            cells = cells + [""] * (len(names) - len(cells))
            rows.append((number, dict(zip(names, cells, strict=False))))
    return Sheet(path, tuple(names), tuple(rows))


def write_sheet(path, columns, rows, shown=None, mark=""):
    """Write the columns of dicts as a CSV, whole or not at all; return its path.

    ``shown`` makes a value's text; without, :func:`cell` does. ``mark`` stands in
    front of all: a byte order mark, without which Excel takes UTF-8 for another code.
    """
    text, shown = io.StringIO(), shown or cell
    table = csv.writer(text)
    table.writerow(columns)
    table.writerows([shown(row[column]) for column in columns] for row in rows)
    write_atomically(path, mark + text.getvalue())
    return path


def cell(value):
    """Return the text of a value: None is empty, and no text is a formula."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    return guarded(" ".join(value) if isinstance(value, list) else str(value))


def guarded(text):
    """Return a text that a spreadsheet does not take for a formula."""
    return "'" + text if _FORMULA.match(text) else text


def _unguarded(text):
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text


def _decoded(data):
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # What Excel in Europe and the Americas saves as "CSV".
        return data.decode("cp1252", "replace")


def _parsed(text, separators, path):
    """Return the names and the lines, with the separator that makes most columns."""

    def reader_of(separator):
        # Strict: a mark that is not closed would swallow the lines below.
        file = io.StringIO(text, newline="")
        return csv.reader(file, delimiter=separator, strict=True)

    reader = reader_of(max(separators, key=lambda one: _columns(reader_of(one))))
    try:
        names, *lines = [
            (reader.line_num, [cell.strip() for cell in cells]) for cells in reader
        ] or [(1, [])]
    except csv.Error as error:
        raise SheetError(f"{path}, line {reader.line_num}: {error}") from None
    return names[1], lines


def _columns(reader):
    try:
        return len(next(reader, ()))
    except csv.Error:
        return 0
