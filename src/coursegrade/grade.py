"""Grade a class: take in what was handed in, keep what was said, write the tables."""

import sys
from dataclasses import dataclass
from pathlib import Path

from coursegrade.assignment.master import Master, parse_master
from coursegrade.examiner import client
from coursegrade.gradebook import feedback, intake, kept, marks, tables, whole_class
from coursegrade.gradebook.journal import Journal
from coursegrade.gradebook.late import LATE, Deadline, read_times
from coursegrade.gradebook.platforms import Worksheet, read_worksheet
from coursegrade.gradebook.results import write_results
from coursegrade.gradebook.review import write_review_page
from coursegrade.gradebook.roster import read_roster
from coursegrade.gradebook.sheets import read_sheet
from coursegrade.release import helpers
from coursegrade.sandbox.isolate import filters
from coursegrade.statuses import Status

LOOK = 3
_SHOWN = 10


@dataclass(frozen=True)
class _Class:
    """All that people said and handed in, read and checked before the grading."""

    text: str
    master: Master
    out: Path
    kept: dict
    worksheets: list[Worksheet]
    intake: intake.Intake
    deadline: Deadline
    journal: Journal
    marks: dict
    known: dict
    problems: list


def grade(path, options):
    """Grade a class as the command line says; return the exit status.

    Parameters
    ----------
    path : pathlib.Path
        The master.
    options : argparse.Namespace

    Returns
    -------
    int
        0, or 3 where a person must look; with results for a platform, 1 where points
        are missing.
    """
    settings = whole_class.Settings(
        options.secret, options.trust, options.jobs, options.scheduler
    )
    one = _read(path, options)
    if options.dry_run:
        return _show(one, settings, options)
    if options.trust:
        print("Without a sandbox (--trust): each row says so.", file=sys.stderr)
    elif filters() is None:
        print(
            "libseccomp is missing (apt install libseccomp2): the sandbox works, but "
            "rooms can make all system calls that the kernel lets them make.",
            file=sys.stderr,
        )
    kept.write_kept(one.out, one.kept)
    marks.write_marks(one.out, one.marks)
    intake.write_intake(one.out, one.intake)
    try:
        entries = whole_class.grade_class(
            one.text,
            one.intake.submissions,
            one.out,
            settings,
            again=options.regrade,
            only=options.task,
            progress=_bar(one.master.name),
        )
    finally:
        client.stop()
    status = _write(one, entries)
    if not options.results:
        return status
    entries, sums = _finished(one, entries)
    student = one.intake.submissions[0].id
    mine = (one.master, entries[student], sums[student])
    return status if write_results(options.results, *mine) else 1


def _read(path, options):
    text = path.read_text(encoding="utf-8")
    master = parse_master(text, path.name)
    out = Path(options.out) / master.name
    given = {key: getattr(options, key) for key in kept.KEYS}
    said = kept.updated(kept.read_kept(out), out, given)
    paths = {key: kept.path_of(said, key, out) for key in kept.FILES}
    zone, problems = kept.zone(said), []
    roster = read_roster(paths["roster"]) if paths["roster"] else None
    worksheets, column = [], said.get("column", "")
    sheets = [paths[key] for key in kept.SHEETS if paths[key]]
    for sheet in sheets:
        # With two tables, the name is that of a column of one of them.
        mine = len(sheets) == 1 or column in read_sheet(sheet).columns
        worksheets.append(read_worksheet(sheet, master, column if mine else ""))
    taken = intake.collect(
        options.submissions, master, roster, said.get("chosen"), options.id
    )
    if options.results and len(taken.submissions) != 1:
        raise ValueError(
            f"--results is for one student, and {len(taken.submissions)} handed in; "
            "--id says that all of it is one student's"
        )
    journal = Journal(out / "journal.jsonl")
    known = _known(taken, roster, journal)
    deadline = _deadline(said, paths, zone, worksheets, known, problems)
    answers = {key: one.get("answers", {}) for key, one in journal.entries.items()}
    answers |= {
        one.id: {name: marks.answer_digest(t) for name, t in one.answers.items()}
        for one in taken.submissions
    }
    kept_marks = marks.kept_marks(out, known)
    new = [marks.typed(out, master, known)]
    new += [marks.read_marks(options.marks, master, known)] if options.marks else []
    for one in new:
        kept_marks = marks.merged(kept_marks, one, answers)
    return _Class(
        text=text,
        master=master,
        out=out,
        kept=said,
        worksheets=worksheets,
        intake=taken,
        deadline=deadline,
        journal=journal,
        marks=kept_marks,
        known=known,
        problems=problems,
    )


def _deadline(said, paths, zone, worksheets, known, problems):
    """Return when work is due and came; add what cannot be used to the problems."""
    times, extensions = {}, {}
    for worksheet in worksheets:
        of_labels, strange = worksheet.times(zone)
        times |= {known.get(label, label): time for label, time in of_labels.items()}
        if strange:
            problems.append(
                f"{len(strange)} times in the worksheet cannot be read, such as "
                f"{strange[0]!r}: give --times, a CSV with the columns id and time"
            )
    for key, column, made in (
        ("times", "time", times),
        ("extensions", "due", extensions),
    ):
        if paths[key]:
            read = read_times(paths[key], column, zone)
            made |= {known.get(one, one): time for one, time in read.items()}
            if strangers := sorted(set(read) - set(known)):
                problems.append(f"{paths[key]}: {', '.join(strangers)} is not here")
    fraction = kept.fraction(said.get("penalty", "0"))
    if fraction and not said.get("due"):
        problems.append("a penalty, and no --due: nothing is late")
    return Deadline(kept.due(said), fraction, extensions, times, zone)


def _known(taken, roster, journal):
    """Return the id of whom a text names: today's, a platform's label, an old one."""
    ids = [one.id for one in taken.submissions] + list(roster.ids if roster else ())
    labels = dict(roster.by_label) if roster else {}
    labels |= {one.owner.label: one.id for one in taken.submissions}
    return {key: key for key in journal.entries} | labels | {key: key for key in ids}


def _finished(one, entries):
    """Return the entries with marks and absent students, and their totals."""
    entries = dict(entries)
    for student in one.intake.absent:
        if student not in entries:
            entries[student] = whole_class.absent(one.master, student)
    entries = marks.apply(entries, one.marks)
    return entries, tables.totals(one.master, entries, one.deadline)


def _write(one, entries):
    entries, sums = _finished(one, entries)
    grades = tables.write_grades(one.out, one.master, entries)
    tables.write_totals(one.out, sums)
    marks.write_review(one.out, entries, one.marks)
    write_review_page(one.out, one.master, entries)
    owner, _, name = helpers()[0].partition("/")
    # Where GitHub puts the book of a repository that publishes one.
    book = f"https://{owner.lower()}.github.io/{name}/book" if name else ""
    summary = feedback.write_pages(one.out, one.master, entries, sums, book)
    print(f"{len(one.intake.submissions)} submissions: {grades}, {summary}")
    for worksheet in one.worksheets:
        filled, count = worksheet.fill(one.out, sums, one.known)
        print(f"{filled}: {count} of {len(sums)} grades")
    waiting = sum(len(each["open"]) for each in sums.values())
    if waiting:
        print(
            f"{waiting} tasks wait for a person: {one.out / 'review.html'} shows the "
            f"answers; fill in {one.out / marks.REVIEW} and run the same command"
        )
    return _report(one, entries, sums)


def _report(one, entries, sums):
    """Say what became of the files, and where a person must look."""
    counts = {}
    for line in one.intake.lines:
        counts[line.what] = counts.get(line.what, 0) + 1
    said = ", ".join(f"{count} {what}" for what, count in counts.items())
    print(f"{one.out / 'intake.csv'}: {said}")
    problems = [*one.problems, *_to_look_at(one.intake.look)]
    rows = [row for entry in entries.values() for row in entry["rows"]]
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
                f"late, by unknown days, so without a total: {', '.join(late)}: {how}"
            )
    for text in problems[:_SHOWN]:
        print(f"Look: {text}", file=sys.stderr)
    if len(problems) > _SHOWN:
        print(f"Look: and {len(problems) - _SHOWN} more", file=sys.stderr)
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
        said.setdefault((line.id, line.why or line.rule), line.file)
    for (student, why), file in said.items():
        yield f"{student} ({file}): {why}"


def _show(one, settings, options):
    """Say what a run would do and change; write nothing."""
    old = kept.read_kept(one.out)
    for key in (*kept.KEYS, "chosen"):
        if (was := old.get(key)) != (now := one.kept.get(key)):
            print(f"{key}: {was or 'none'} -> {now or 'none'}")
    again = (options.regrade, options.task)
    jobs = whole_class.to_grade(
        one.text, one.intake.submissions, one.journal, settings, *again
    )
    print(f"{len(jobs)} of {len(one.intake.submissions)} submissions would be graded")
    for job in jobs:
        print(f"  {job['id']}: {', '.join(job['tasks']) or 'all tasks'}")
    known = whole_class.known(one.master, one.intake.submissions, one.journal)
    entries, sums = _finished(one, known)
    for text in tables.changes(one.out, sums):
        print(text)
    return _report(one, entries, sums)


def _bar(name):
    from tqdm import tqdm

    return lambda count: tqdm(total=count, desc=name, unit="notebook")
