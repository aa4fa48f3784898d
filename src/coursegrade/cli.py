"""The command ``coursekit``: release assignments, grade submissions."""

import argparse
import os
import sys
from pathlib import Path

from coursekit.grading import PUBLIC

_EXTRA = ("jupytext", "nbformat", "joblib", "IPython", "distributed")


def parser():
    """Return the command line's parser."""
    top = argparse.ArgumentParser(
        prog="coursekit", description="Release assignments and grade them."
    )
    commands = top.add_subparsers(required=True)
    for run, fill, about, epilog in _COMMANDS:
        command = commands.add_parser(run.__name__[1:], help=about, epilog=epilog)
        command.set_defaults(run=run)
        if run is not _check:
            command.add_argument(
                "master", help="the master, a MyST notebook, or its name"
            )
        fill(command.add_argument)
    return top


def _add_secret(add):
    add(
        "--secret",
        default=os.environ.get("COURSEKIT_SECRET") or PUBLIC,
        help="the class secret; better in the variable COURSEKIT_SECRET, which no "
        "process list shows",
    )


def _add_trust(add):
    about = "without a sandbox: only for work you would run in your own shell"
    add("--trust", action="store_true", help=about)


def _of_check(add):
    add("notebook", help="the .ipynb file, saved")
    add("--id", default="", help="the id under which it is handed in")


def _of_release(add):
    add("--out", default="released", help="folder of the notebook")
    about = (
        "nbgrader's course folder, which gets the notebook with solutions, in source/"
    )
    add("--nbgrader", metavar="COURSE", help=about)
    about = "where Colab installs the helpers from; this package's own, if left out"
    add("--repository", metavar="OWNER/NAME", help=about)
    add("--commit", help="the commit there; this package's own, if left out")
    about = "write the notebook with solutions, for students to read afterwards"
    add("--solution", action="store_true", help=about)
    about = "do not grade the master's own solution first"
    add("--no-check", action="store_true", help=about)
    _add_secret(add)
    _add_trust(add)


def _of_grade(add):
    add("submissions", help="folder or zip of notebooks, or one notebook")
    add("--out", default="grades", help="folder of grades and feedback")
    add("--id", default="", help="all of the hand-in is this student's")
    add("--results", help="write this one student's results.json for Gradescope")
    add("--dry-run", action="store_true", help="only say what would change")
    add("--marks", help="CSV with a person's points: id, task, points, comment")
    add("--due", help="when it was due, 2026-12-01T23:59; kept, as the next eight are")
    zone = "time zone of times without one, such as Europe/Berlin; else this machine's"
    add("--timezone", help=zone)
    add("--penalty", help="what each late day takes of the points, 10%% or 0.1")
    add("--times", help="CSV of when work was handed in: id, time")
    add("--extensions", help="CSV of other due times: id, due")
    add("--roster", help="CSV of the class: id and, if names differ, submission")
    add("--worksheet", help="Moodle's grading worksheet, to be filled in")
    add("--gradebook", help="an export of Canvas's gradebook, to be filled in")
    add("--column", help="name of its column of grades, where it is not found")
    many = {"action": "append", "default": []}
    add("--regrade", metavar="ID", help="grade this student once more", **many)
    add("--task", help="grade only this task once more", **many)
    about = "how many are graded at a time; as many as cores if not given"
    add("--jobs", type=int, help=about)
    add("--scheduler", default="", help="a Dask scheduler, tcp://...")
    _add_secret(add)
    _add_trust(add)


def _of_simulate(add):
    add("--out", default="submissions", help="folder of the notebooks")
    add("--students", type=int, default=30, help="how many")
    add("--expected", help="CSV of the status that each task should get")
    _add_secret(add)


def main(arguments=None):
    """Run the command; return its exit status."""
    options = parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        # Windows' code pages lack letters that names and messages have
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        return options.run(options)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        extra = "cluster" if error.name == "distributed" else "grading"
        problem = (
            f"{error.name} is not installed; the command needs the extra [{extra}]: in "
            f"a clone, run `pip install '.[{extra}]'`"
        )
    except (ValueError, OSError, RuntimeError) as error:
        problem = str(error)
    except KeyboardInterrupt:
        print(
            "\nStopped. What is graded is kept: the same command goes on from here."
            if options.run is _grade
            else "\nStopped.",
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
    from coursegrade.assignment.master import parse_master, read_text
    from coursegrade.examiner.client import stop

    path = find_master(options.master)
    text = read_text(path)
    master = parse_master(text, path.name)
    if not options.no_check:
        print(f"{master.name}: grading its own solution and the empty notebook ...")
        try:
            release.check_master(text, options.secret, options.trust)
        finally:
            stop()
    name, commit = release.helpers(options.repository, options.commit)
    where = (options.secret, name, commit)
    made = release.write_release(master, options.out, *where)
    print(f"{made}: {len(master.tasks)} tasks, {master.points:g} points")
    if options.solution:
        print(release.write_solution(master, options.out, *where))
    if options.nbgrader:
        print(release.write_source(master, options.nbgrader, *where))
    if not (name and commit):
        print(
            "No repository and commit are known: in Colab the notebook cannot install "
            "the helpers. Give --repository and --commit.",
            file=sys.stderr,
        )
    if options.secret == PUBLIC:
        print("No --secret: whoever has this repository can draw the hidden inputs.")
    return 0


def _grade(options):
    from coursegrade.grade import grade

    return grade(find_master(options.master), options)


def _check(options):
    from coursegrade.check import check

    return check(options.notebook, options.id)


def _simulate(options):
    from coursegrade.assignment.master import read_master
    from coursegrade.gradebook.sheets import write_sheet
    from coursegrade.simulate import simulate

    if options.students < 1:
        raise ValueError(f"--students is {options.students}; a class has at least one")
    master = read_master(find_master(options.master))
    expected = simulate(master, options.out, options.students, options.secret)
    if options.expected:
        write_sheet(options.expected, ("id", "kind", "task", "status"), expected)
    print(f"{options.students} notebooks in {options.out}")
    return 0


#: What runs, what adds its arguments, what it is for, what is said below its help.
_COMMANDS = (
    (
        *(_check, _of_check, "for students: check a notebook before it is handed in"),
        "It runs the notebook, without a sandbox: check only your own.",
    ),
    (_release, _of_release, "make the students' notebook of a master", None),
    (
        *(_grade, _of_grade, "grade a folder or zip of notebooks"),
        "Ends with 3 where a person must look; it says at what.",
    ),
    (_simulate, _of_simulate, "make a pretend class to try this", None),
)
