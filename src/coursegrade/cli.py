"""The command ``coursekit``: release assignments, grade submissions."""

import argparse
import os
import sys
from datetime import datetime
from pathlib import Path

from coursekit.grading import PUBLIC

EXTRA = (
    "the command needs the extra [grading]: in a clone, run `pip install '.[grading]'`"
)


def parser():
    """Return the command line's parser."""
    top = argparse.ArgumentParser(
        prog="coursekit",
        description="Release assignments and grade them.",
    )
    commands = top.add_subparsers(dest="command", required=True)
    one = commands.add_parser("release", help="make the students' notebook of a master")
    one.add_argument("master", help="the master, a MyST notebook, or its name")
    one.add_argument("--out", default="released", help="folder of the notebook")
    one.add_argument(
        "--nbgrader",
        metavar="COURSE",
        help="nbgrader's course folder, "
        "which gets the notebook with solutions, in source/",
    )
    one.add_argument(
        "--repository",
        default=os.environ.get("GITHUB_REPOSITORY", ""),
        metavar="OWNER/NAME",
        help="where Colab installs the helpers from",
    )
    one.add_argument(
        "--no-check",
        action="store_true",
        help="do not grade the master's own solution first",
    )
    two = commands.add_parser("grade", help="grade a folder or zip of notebooks")
    two.add_argument("master", help="the master, a MyST notebook, or its name")
    two.add_argument("submissions", help="folder or zip of notebooks")
    two.add_argument("--out", default="grades", help="folder of grades and feedback")
    two.add_argument(
        "--marks", help="CSV with a person's points: id, task, points, comment"
    )
    two.add_argument("--due", type=_time, help="when it was due, 2026-12-01T23:59")
    two.add_argument(
        "--penalty",
        type=float,
        default=0.0,
        help="part of the points that each late day takes, such as 0.1",
    )
    two.add_argument(
        "--regrade",
        action="append",
        default=[],
        metavar="ID",
        help="grade this student once more",
    )
    two.add_argument(
        "--task", action="append", default=[], help="grade only this task once more"
    )
    two.add_argument(
        "--roster",
        help="CSV with columns submission (what the file's name says) and id",
    )
    two.add_argument("--worksheet", help="Moodle's grading worksheet, to be filled in")
    two.add_argument(
        "--jobs",
        type=int,
        help="how many are graded at a time; as many as cores if not given",
    )
    two.add_argument("--scheduler", default="", help="a Dask scheduler, tcp://...")
    three = commands.add_parser("simulate", help="make a pretend class to try this")
    three.add_argument("master", help="the master, a MyST notebook, or its name")
    three.add_argument("--out", default="submissions", help="folder of the notebooks")
    three.add_argument("--students", type=int, default=30, help="how many")
    three.add_argument("--expected", help="CSV of the status that each task should get")
    for command in (one, two, three):
        command.add_argument(
            "--secret",
            default=os.environ.get("COURSEKIT_SECRET") or PUBLIC,
            help="the class secret; better in the "
            "variable COURSEKIT_SECRET, which no process list shows",
        )
    for command in (one, two):
        command.add_argument(
            "--trust",
            action="store_true",
            help="without a sandbox: only for work you would run in your own shell",
        )
    return top


def main(arguments=None):
    """Run the command; return its exit status."""
    options = parser().parse_args(arguments)
    try:
        commands = {"release": _release, "grade": _grade, "simulate": _simulate}
        return commands[options.command](options)
    except ModuleNotFoundError as error:
        if error.name not in (
            "jupytext",
            "nbformat",
            "joblib",
            "IPython",
            "distributed",
        ):
            raise
        problem = f"{error.name} is not installed; {EXTRA}"
    except (ValueError, OSError, RuntimeError) as error:
        problem = str(error)
    except KeyboardInterrupt:
        print(
            "\nStopped. What is graded is kept: the same command goes on from here.",
            file=sys.stderr,
        )
        return 130
    print(f"coursekit: {problem}", file=sys.stderr)
    return 1


def find_master(name):
    """Return the path of a master that is named by a path or by its name.

    Raises
    ------
    ValueError
        If there is none.
    """
    path = Path(name)
    if path.suffix == ".md":
        return path
    for folder in (Path("assignments"), Path(".")):
        if (folder / f"{name}.md").is_file():
            return folder / f"{name}.md"
    raise ValueError(
        f"no master {name!r}: give the path of a .md file, or run this in the folder "
        "that has assignments/"
    )


def _release(options):
    from coursegrade import release
    from coursegrade.assignment.master import read_master
    from coursegrade.examiner.client import stop
    from coursekit.colab import commit

    path = find_master(options.master)
    master = read_master(path)
    if not options.no_check:
        print(f"{master.name}: grading its own solution and the empty notebook ...")
        try:
            text = path.read_text(encoding="utf-8")
            release.check_master(text, options.secret, options.trust)
        finally:
            stop()
    where = (options.secret, options.repository, commit(path.parent))
    made = release.write_release(master, options.out, *where)
    print(f"{made}: {len(master.tasks)} tasks, {master.points:g} points")
    if options.nbgrader:
        print(release.write_source(master, options.nbgrader, *where))
    if options.secret == PUBLIC:
        print("No --secret: whoever has this repository can draw the hidden inputs.")
    return 0


def _grade(options):
    from tqdm import tqdm

    from coursegrade.assignment.master import read_master
    from coursegrade.examiner import client
    from coursegrade.gradebook import feedback, intake, marks, tables, whole_class

    path = find_master(options.master)
    master = read_master(path)
    roster = tables.read_roster(options.roster) if options.roster else None
    submissions = intake.collect(options.submissions, roster)
    out = Path(options.out) / master.name
    new = {}
    if options.marks:
        new = marks.read_marks(options.marks, master, {one.id for one in submissions})
    settings = whole_class.Settings(
        options.secret, options.trust, options.jobs, options.scheduler
    )
    if options.trust:
        print("Without a sandbox (--trust): each row says so.", file=sys.stderr)
    try:
        entries = whole_class.grade_class(
            path.read_text(encoding="utf-8"),
            submissions,
            out,
            settings,
            again=options.regrade,
            only=options.task,
            progress=lambda count: tqdm(total=count, desc=master.name, unit="notebook"),
        )
    finally:
        client.stop()
    entries = marks.apply(entries, marks.remember(out, new))
    sums = tables.totals(master, entries, options.due, options.penalty)
    grades = tables.write_grades(out, master, entries)
    tables.write_totals(out, sums)
    tables.write_review(out, master, entries)
    if options.worksheet:
        tables.fill_worksheet(options.worksheet, out, sums)
    summary = feedback.write_pages(out, master, entries, sums)
    waiting = sum(len(one["open"]) for one in sums.values())
    print(f"{len(entries)} submissions: {grades}, {summary}")
    if waiting:
        print(
            f"{waiting} tasks wait for a person: fill in {out / 'review.csv'} and "
            "run the same command with --marks"
        )
    return 0


def _simulate(options):
    from coursegrade.assignment.master import read_master
    from coursegrade.simulate import simulate, write_expected

    if options.students < 1:
        raise ValueError(f"--students is {options.students}; a class has at least one")
    master = read_master(find_master(options.master))
    expected = simulate(master, options.out, options.students, options.secret)
    if options.expected:
        write_expected(options.expected, expected)
    print(f"{options.students} notebooks in {options.out}")
    return 0


def _time(text):
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; write it like 2026-12-01T23:59"
        ) from None


if __name__ == "__main__":
    sys.exit(main())
