"""Learning platforms' own tables: what they say of hand-ins, and grades for them."""

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from coursegrade.examiner.notebook import letters
from coursegrade.gradebook.late import parse_time
from coursegrade.gradebook.roster import folded
from coursegrade.gradebook.sheets import Sheet, read_sheet, write_sheet

# Moodle writes the names of its columns in the course's language.
_GRADE = (
    "grade bewertung note calificación valutazione nota cijfer beoordeling avaliação "
    "ocena betyg karakter оцінка оценка známka puan arvosana 成績 成绩 評点"
).split()
_TIME = (
    "last modified (submission)",
    "zuletzt geändert (abgabe)",
    "dernière modification (travail remis)",
    "última modificación (entrega)",
    "ultima modifica (consegna)",
    "laatst gewijzigd (inzending)",
    "última modificação (envio)",
)
_MOST = (
    "maximum grade",
    "bestwertung",
    "note maximale",
    "calificación máxima",
    "valutazione massima",
    "maximumcijfer",
    "nota máxima",
)
_CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Root Account", "Section")


@dataclass(frozen=True)
class Worksheet:
    """A platform's table of a class.

    ``key`` is the column of its number of a person, ``grade`` that of the grades,
    ``time`` that of the time of handing in, ``most`` that of the highest grade, if
    there is one.
    """

    sheet: Sheet
    platform: str
    key: str
    grade: str
    time: str = ""
    most: str = ""

    def label(self, line):
        """Return the platform's number of a line's person, or an empty text."""
        match = re.fullmatch(r"\D*(\d+)", line[self.key])
        return match[1] if match else ""

    def times(self, zone=None):
        """Return the times of handing in by label, and the texts that are none."""
        made, strange = {}, []
        for _, line in self.sheet.lines:
            text = line.get(self.time, "") if self.time else ""
            if text and text != "-":
                try:
                    made[self.label(line)] = parse_time(text, zone)
                except ValueError:
                    strange.append(text)
        return made, strange

    def other_scale(self, master):
        """Return a sentence where the platform counts other points than the master."""
        column = self.most or self.grade
        told = [
            line.get(column, "")
            for _, line in self.sheet.lines
            if self.most or line.get("Student", "").strip() == "Points Possible"
        ]
        for text in told:
            with contextlib.suppress(ValueError):
                if (most := float(text.replace(",", "."))) != master.points:
                    return (
                        f"{self.platform} counts {most:g} points, the assignment "
                        f"{master.points:g}: set its maximum to {master.points:g}, or "
                        "grades are parts of another whole"
                    )
        return ""

    def fill(self, out, sums, by_label):
        """Write the table with the totals that are whole; return path and count.

        ``sums`` are the totals by id, ``by_label`` ids by the platform's numbers.
        """
        count, rows, columns = 0, [], self.sheet.columns
        name = "moodle_worksheet.csv"
        if self.platform == "Canvas":
            # Only what an import needs.
            columns = [c for c in columns if c in (*_CANVAS, self.grade)]
            name = "canvas_gradebook.csv"
        for _, line in self.sheet.lines:
            one = sums.get(by_label.get(self.label(line), ""))
            if one and one["total"] is not None and not (one["open"] or one["absent"]):
                line = {**line, self.grade: f"{one['total']:g}"}
                count += 1
            rows.append(line)
        # Its own texts go back as they came.
        return write_sheet(Path(out) / name, columns, rows, shown=str), count


def read_worksheet(path, master, column=""):
    """Read Moodle's grading worksheet or an export of Canvas's gradebook.

    Canvas's column is the one with the master's title or name; ``column`` names it
    where it is not found by itself.

    Raises
    ------
    SheetError
        If it is neither.
    """
    sheet = read_sheet(path)
    if column and column not in sheet.columns:
        raise sheet.error(1, f"no column {column!r}")
    if {"Student", "ID", "Section"} <= set(sheet.columns):
        return Worksheet(sheet, "Canvas", "ID", column or _canvas_column(sheet, master))
    key = sheet.columns[0] if sheet.columns else ""
    grade = column or next((c for c in sheet.columns if folded(c) in _GRADE), "")
    time = next((c for c in sheet.columns if folded(c) in _TIME), "")
    most = next((c for c in sheet.columns if folded(c) in _MOST), "")
    made = Worksheet(sheet, "Moodle", key, grade, time, most)
    if not grade or not all(made.label(line) for _, line in sheet.lines):
        raise sheet.error(
            1,
            "not Moodle's grading worksheet, which begins with the number of a "
            "participant and has a column for the grade (assignment, Download grading "
            "worksheet), nor Canvas's gradebook (Export). If the column has another "
            f'name here, write it into class.toml: column = "..."; there are '
            f"{', '.join(sheet.columns)}",
        )
    return made


def _canvas_column(sheet, master):
    # "Initializers (1234)": the title and Canvas's number of the assignment.
    named = [c for c in sheet.columns if re.search(r" \(\d+\)$", c)]
    ours = {letters(master.title), letters(master.name)}
    found = [c for c in named if letters(c.rpartition(" (")[0]) in ours] or named
    if len(found) != 1:
        raise sheet.error(
            1,
            f"which column is {master.title!r}? Write it into class.toml: "
            f'column = "..."; there are {", ".join(named) or "none"}',
        )
    return found[0]
