"""Grade a class: take in what was handed in, keep what was said, write the tables.

The walk, each step a module of the gradebook: what people said (``kept``, ``roster``,
``platforms``, ``late``), which files there are (``hand_ins``), whose they are
(``layouts``), which notebook counts (``intake``), its rows (``whole_class``, kept in
the ``journal``), a person's ``marks``, late days and sums (``tables``), and what people
get (``tables``, ``platforms``, ``feedback``, ``review``, ``results``).
"""

import re
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from coursegrade.assignment.master import Master, parse_master, read_text
from coursegrade.examiner import client
from coursegrade.gradebook import feedback, intake, kept, marks, tables, whole_class
from coursegrade.gradebook.journal import Journal
from coursegrade.gradebook.late import LATE, Deadline, parse_time, read_times, until
from coursegrade.gradebook.platforms import Worksheet, read_worksheet
from coursegrade.gradebook.results import write_results
from coursegrade.gradebook.review import write_review_page
from coursegrade.gradebook.roster import read_roster
from coursegrade.gradebook.sheets import read_sheet
from coursegrade.release import helpers
from coursegrade.sandbox.bubblewrap import shows
from coursegrade.sandbox.isolate import filters
from coursegrade.statuses import Status
from coursekit.grading import class_key

LOOK = 3
_SHOWN = 10


@dataclass(frozen=True)
class _Class:
    """All that people said and handed in, read and checked before the grading.

    ``known`` is the id of whom a text names, ``numbers`` that of a platform's number,
    ``answers`` are fingerprints of answers, ``problems`` sentences.
    """

    master: Master
    out: Path
    kept: dict
    worksheets: list[Worksheet]
    intake: intake.Intake
    deadline: Deadline
    marks: dict
    known: dict
    numbers: dict
    answers: dict
    problems: list


def grade(path, options):
    """Grade the class of a master as the command line says; return the exit status.

    It is 0, or 3 where a person must look; with results for a platform, 1 where points
    are missing.
    """
    text = read_text(path)
    if not options.trust:
        _refuse_shown(path, options)
    settings = whole_class.Settings(
        options.secret, options.trust, options.jobs, options.scheduler
    )
    master = parse_master(text, path.name)
    out = Path(options.out) / master.name
    journal = Journal(out / "journal.jsonl")
    one = _read(master, out, journal, options)
    what = (text, one.intake.submissions)
    again = (options.regrade, options.task)
    if options.dry_run:
        jobs = whole_class.to_grade(*what, journal, settings, *again)
        known = whole_class.known(master, one.intake.submissions, journal)
        return _show(one, jobs, known)
    if options.trust:
        print("Without a sandbox (--trust): each row says so.", file=sys.stderr)
    elif filters() is None:
        print(
            "libseccomp is missing (apt install libseccomp2): the sandbox works, but "
            "rooms can make all system calls that the kernel lets them make.",
            file=sys.stderr,
        )
    kept.write_kept(out, one.kept)
    marks.write_marks(out, one.marks)
    intake.write_intake(out, one.intake)
    try:
        entries = whole_class.grade_class(*what, out, settings, *again)
    finally:
        client.stop()
    # somebody may have typed marks while it ran
    one = replace(one, marks=_typed(one, options))
    marks.write_marks(out, one.marks)
    entries, sums = _finished(one, entries)
    _write(one, entries, sums)
    status = _report(one, entries, sums)
    if options.results:
        student = one.intake.submissions[0].id
        mine = (master, entries[student], sums[student])
        status = status if write_results(options.results, *mine) else 1
    return status


def _refuse_shown(path, options):
    """Raise ValueError where notebooks that are graded could read all others."""
    for place in (path, options.submissions, options.out):
        if shows(place):
            raise ValueError(
                f"{place} lies in a folder that every notebook may read while it is "
                "graded, the system's or Python's own: move it, to your home for "
                "instance"
            )


def _read(master, out, journal, options):
    given = {key: getattr(options, key) for key in kept.KEYS}
    said = kept.updated(kept.read_kept(out), out, given)
    values, problems = kept.values(said, out), []
    roster = read_roster(values["roster"]) if values["roster"] else None
    worksheets, column = [], values["column"] or ""
    sheets = [values[key] for key in kept.SHEETS if values[key]]
    for sheet in sheets:
        # With two tables, the name is that of a column of one of them.
        mine = len(sheets) == 1 or column in read_sheet(sheet).columns
        worksheets.append(read_worksheet(sheet, master, column if mine else ""))
    taken = intake.collect(
        options.submissions,
        master,
        roster,
        said.get("chosen"),
        options.id,
        kept.outputs(options.out),
    )
    taken = _but_earlier(taken, whole_class.known(master, taken.submissions, journal))
    if options.results and len(taken.submissions) != 1:
        raise ValueError(
            f"--results is for one student, and {len(taken.submissions)} handed in; "
            "--id says that all of it is one student's"
        )
    known = _known(taken, roster, journal)
    key = class_key(options.secret, master.name)
    problems += [
        *_of_another_secret(taken, journal, key),
        *_taken_for_another(taken, journal),
    ]
    if re.fullmatch(r"\d{4}-?\d\d-?\d\d", said.get("due", "")):
        problems.append(
            f"due {said['due']} is that day's first minute; write {said['due']}T23:59 "
            "for its last"
        )
    numbers = _numbers(taken, roster, journal)
    problems += [
        f"[chosen] in class.toml names {one}, who is not here"
        for one in said.get("chosen") or {}
        if one not in known
    ]
    deadline = _deadline(values, worksheets, known, numbers, problems)
    problems += filter(None, (one.other_scale(master) for one in worksheets))
    answers = {key: one.get("answers", {}) for key, one in journal.entries.items()}
    for one in taken.submissions:
        digests = {name: marks.answer_digest(t) for name, t in one.answers.items()}
        answers[one.id] = digests
    told = (known, numbers, answers, problems)
    one = _Class(master, out, said, worksheets, taken, deadline, {}, *told)
    return replace(one, marks=_typed(one, options))


def _typed(one, options):
    """Return the marks: kept ones, those in the last run's file, those of --marks."""
    typed, review = marks.kept_marks(one.out, one.known), one.out / marks.REVIEW
    for path in filter(None, (review if review.exists() else None, options.marks)):
        new = marks.read_marks(path, one.master, one.known)
        typed = marks.merged(typed, new, one.answers)
    return typed


def _but_earlier(taken, known):
    """Return the intake in which nobody is absent who was graded in an earlier run."""
    lines = [
        replace(line, what="graded earlier")
        if not line.file and line.id in known
        else line
        for line in taken.lines
    ]
    absent = [one for one in taken.absent if one not in known]
    return replace(taken, lines=lines, absent=absent)


def _of_another_secret(taken, journal, key):
    """Yield a sentence where entries have another class key and no notebook tells.

    Raises
    ------
    ValueError
        If most notebooks hold another key: personal data and hidden inputs would
        change, and with them points. One student alone may have changed a key.
    """
    keys = [one.key for one in taken.submissions if one.key]
    other = sum(one != key for one in keys)
    if 2 * other > len(keys):
        raise ValueError(
            f"{other} of {len(keys)} notebooks were released with another class "
            "secret: give the one of `release`, with --secret or the variable "
            "COURSEKIT_SECRET; nothing was graded"
        )
    old = [one for one in journal.entries.values() if one.get("key", key) != key]
    if old and not keys:
        yield (
            f"graded earlier with another class secret, {len(old)} in all: their "
            "hidden inputs are others"
        )


def _taken_for_another(taken, journal):
    """Yield a sentence on numbers that two platforms give, to two people maybe."""
    twice = {}
    for one in taken.submissions:
        old, now = journal.entries.get(one.id, {}), one.owner
        platforms = {old.get("platform"), now.platform} - {None, ""}
        if len(platforms) == 2 and old["label"] == now.label:
            twice[one.id] = (
                f"{one.id} ({now.where}): in place of {old['platform']}'s "
                f"{old['where']}, which has the same number"
            )
    if twice:
        first, *others = twice
        more = f"; and so with {', '.join(others)}" if others else ""
        yield (
            f"{twice[first]}{more}; if they are two people, give one platform another "
            "--out"
        )


def _deadline(values, worksheets, known, numbers, problems):
    """Return when work is due and came; add what cannot be used to the problems."""
    times, extensions, zone = {}, {}, values["timezone"]
    for worksheet in worksheets:
        of_labels, strange = worksheet.times(zone)
        times |= {
            numbers[one]: time for one, time in of_labels.items() if numbers.get(one)
        }
        if strange:
            problems.append(
                f"{len(strange)} times in the worksheet cannot be read, such as "
                f"{strange[0]!r}: give --times, a CSV with the columns id and time"
            )
    for key, column, made, of_text in (
        ("times", "time", times, parse_time),
        ("extensions", "due", extensions, until),
    ):
        if values[key]:
            read = read_times(values[key], column, zone, of_text)
            made |= {known.get(one, one): time for one, time in read.items()}
            if strangers := sorted(set(read) - set(known)):
                problems.append(f"{values[key]}: {', '.join(strangers)} is not here")
    if values["penalty"] and not values["due"]:
        problems.append("a penalty, and no --due: nothing is late")
    return Deadline(values["due"], values["penalty"], extensions, times, zone)


def _known(taken, roster, journal):
    """Return the id of whom a text names: today's, a platform's label, an old one."""
    ids = [one.id for one in taken.submissions] + list(roster.ids if roster else ())
    labels = dict(roster.by_label) if roster else {}
    labels |= {one.owner.label: one.id for one in taken.submissions}
    return {key: key for key in journal.entries} | labels | {key: key for key in ids}


def _numbers(taken, roster, journal):
    """Return the id of whom a platform's number names: it may be another's id."""
    labels = {one.get("label", ""): key for key, one in journal.entries.items()}
    labels |= roster.numbers if roster else {}
    labels |= {one.owner.label: one.id for one in taken.submissions}
    # a line without a number is nobody's
    return labels | {"": ""}


def _finished(one, entries):
    """Return the entries with marks and absent students, and their totals."""
    absent = {key: whole_class.absent(one.master, key) for key in one.intake.absent}
    entries = marks.apply({**absent, **entries}, one.marks)
    return entries, tables.totals(one.master, entries, one.deadline)


def _write(one, entries, sums):
    grades = tables.write_grades(one.out, one.master, entries)
    tables.write_totals(one.out, sums)
    review = marks.write_review(one.out, entries, one.marks)
    page = write_review_page(one.out, one.master, entries)
    owner, _, name = helpers()[0].partition("/")
    # Where GitHub puts the book of a repository that publishes one.
    book = f"https://{owner.lower()}.github.io/{name}/book" if name else ""
    summary = feedback.write_pages(one.out, one.master, entries, sums, book)
    print(f"{len(one.intake.submissions)} submissions: {grades}, {summary}")
    for worksheet in one.worksheets:
        filled, count = worksheet.fill(one.out, sums, one.numbers)
        print(f"{filled}: {count} of {len(sums)} grades")
    if waiting := sum(len(each["open"]) for each in sums.values()):
        print(
            f"{waiting} tasks wait for a person: {page} shows the "
            f"answers; fill in {review} and run the same command"
        )


def _report(one, entries, sums, written=True):
    """Say what became of the files, and where a person must look."""
    counts = Counter(line.what for line in one.intake.lines)
    said = ", ".join(f"{count} {what}" for what, count in counts.items())
    print(f"{one.out / 'intake.csv' if written else 'Files'}: {said}")
    problems = list(one.problems)
    # Who must answer a question is told with the files; a rerun is no answer.
    asked = {each.id for each in one.intake.submissions if each.asked}
    rows = [r for key, e in entries.items() if key not in asked for r in e["rows"]]
    if failed := sum(row["status"] == Status.NOT_GRADED for row in rows):
        problems.append(f"{failed} tasks are not graded; run the same command again")
    if one.deadline.due and one.deadline.penalty:
        unknown = [s for s, each in sums.items() if each["late_days"] is None]
        late = [s for s, each in sums.items() if each["late_days"] == LATE]
        how = "give --times, a CSV with the columns id and time, or --worksheet"
        if unknown:
            problems.append(
                f"when {len(unknown)} handed in is not known; they lose nothing: {how}"
            )
        if late:
            problems.append(
                "late, and nobody says by how many days, so without a total yet: "
                f"{', '.join(late)}: {how}"
            )
    # What concerns the class is told in full, in front of the files.
    files = list(_to_look_at(one.intake.look))
    # a dry run writes no intake.csv
    problems += files[:_SHOWN] if written else files
    if written and len(files) > _SHOWN:
        problems.append(f"and {len(files) - _SHOWN} more: intake.csv names all")
    for text in problems:
        print(f"Look: {text}", file=sys.stderr)
    return LOOK if problems else 0


def _to_look_at(lines):
    """Return a sentence for each student with a line to look at, one for many alike."""
    other = [line for line in lines if intake.OTHER_ID in line.why]
    if len(other) > _SHOWN // 2:
        first = other[0]
        yield (
            f"{len(other)} notebooks are not those of the id under which they are "
            f"graded, such as {first.id}: {first.why}; --roster says who is who"
        )
        lines = [line for line in lines if line not in other]
    said = {}
    for line in lines:
        who = line.id or line.file
        said.setdefault((who, line.why or line.rule), line.file)
    for (who, why), file in said.items():
        yield f"{who} ({file}): {why}" if who != file else f"{file}: {why}"


def _show(one, jobs, known):
    """Say what a run would do and change; write nothing."""
    old = kept.read_kept(one.out)
    for key in (*kept.KEYS, "chosen"):
        if (was := old.get(key)) != (now := one.kept.get(key)):
            print(f"{key}: {was or 'none'} -> {now or 'none'}")
    print(f"{len(jobs)} of {len(one.intake.submissions)} submissions would be graded")
    for job in jobs:
        print(f"  {job['id']}: {', '.join(job['tasks']) or 'all tasks'}")
    entries, sums = _finished(one, known)
    for text in tables.changes(one.out, sums):
        print(text)
    return _report(one, entries, sums, written=False)
