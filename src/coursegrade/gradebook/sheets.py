"""Tables as people keep them: read what a spreadsheet made of one, write plain CSV."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from coursegrade.gradebook.journal import write_atomically

_FORMULA = tuple("=+-@\t\r")


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


def read_sheet(path, needed=()):
    """Return a CSV that commas, semicolons or tabs separate, in any usual encoding.

    Parameters
    ----------
    path : str or pathlib.Path
    needed : iterable of str
        Columns that must be there. If any is given, all names are read in lower
        case.

    Raises
    ------
    SheetError
        If there is no such file or a column is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise SheetError(f"{path}: there is no such file")
    text = _decoded(path.read_bytes())
    first, _, rest = text.partition("\n")
    if first.strip().lower().startswith("sep=") and len(first.strip()) == 5:
        text, separators = rest, first.strip()[4]
    else:
        separators = ",;\t"
    made = max(
        (_parsed(text, one, path) for one in separators), key=lambda m: len(m[0])
    )
    names, lines = made
    if needed:
        names = [name.lower() for name in names]
        if absent := sorted(set(needed) - set(names)):
            raise SheetError(
                f"{path}: no column {', '.join(absent)}; its first line names "
                f"{', '.join(filter(None, names)) or 'none'}"
            )
    rows = []
    for number, cells in lines:
        cells = [cell.strip() for cell in cells] + [""] * (len(names) - len(cells))
        if any(cells):
            rows.append((number, dict(zip(names, cells, strict=False))))
    return Sheet(path, tuple(names), tuple(rows))


def write_sheet(path, columns, rows):
    """Write a CSV, whole or not at all; return its path."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(columns)
    table.writerows(rows)
    write_atomically(path, text.getvalue())
    return path


def guarded(text):
    """Return a text that a spreadsheet does not take for a formula."""
    text = str(text)
    return "'" + text if text.lstrip("'")[:1] in _FORMULA and text else text


def unguarded(text):
    """Return a text as it was before :func:`guarded`."""
    inner = text.lstrip("'")[:1]
    return text[1:] if text[:1] == "'" and inner and inner in _FORMULA else text


def _decoded(data):
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # What Excel in Europe and the Americas saves as "CSV".
        return data.decode("cp1252", "replace")


def _parsed(text, separator, path):
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        names = [name.strip() for name in next(reader, [])]
        return names, [(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise SheetError(f"{path}, line {reader.line_num}: {error}") from None
