"""Grading thirty notebooks, against nbgrader's autograde of the same ones.

Both get the tiny assignment of the tests with its right answers. nbgrader takes
one notebook after the other, each in a new kernel; it gets a few of them, and its
time is counted for each notebook. Ours grades all thirty, with the start of its
processes. Then a thousand go through a Dask cluster of two workers: do the
second five hundred take as long as the first, and does the memory of the process
that keeps the journal stay as it is?
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import _ratio

ROOT = Path(__file__).parents[1]
MASTER = ROOT / "tests/data/tiny.md"
OURS, THEIRS, MANY = 30, 4, 1000


def main(arguments=None):
    """Measure, print and judge."""
    options = _ratio.parser(__doc__, 3)
    options.add_argument("--many", type=int, default=MANY, help="through Dask")
    options = options.parse_args(arguments)
    from submissions import solved

    data = {f"s{n}": solved(MASTER, f"s{n}") for n in range(OURS)}
    ours, theirs = [], []
    for _ in range(options.rounds):
        ours.append(grade_ours(data) / OURS)
        few = dict(list(data.items())[:THEIRS])
        theirs.append(grade_theirs(few) / THEIRS)
        # Minutes pass: what is measured is told, should the rest be stopped.
        said = f"a round: nbgrader {theirs[-1]:.2f} s, ours {ours[-1]:.2f} s a notebook"
        print(said, file=sys.stderr, flush=True)
    notes = [
        f"a notebook: nbgrader {np.median(theirs):.1f} s, "
        f"ours {np.median(ours):.2f} s on {os.cpu_count()} cores"
    ]
    found = _ratio.ratio(theirs, ours)
    rows = [_ratio.row("nbgrader / ours", found, at_least=5, notes=notes)]
    halves, grown, seconds = through_dask(data["s0"], options.many)
    notes = [f"{options.many} notebooks in {seconds:.0f} s; parent {grown:+.0f} MB"]
    once = _ratio.ratio([halves[1]], [halves[0]])
    rows.append(_ratio.row("second half / first", once, at_most=1.15, notes=notes))
    # A parent that kept each notebook or each process would double.
    memory = _ratio.ratio([200 + grown], [200])
    rows.append(_ratio.row("memory of the parent", memory, at_most=1.2))
    _ratio.finish(rows, options.json)


def grade_ours(data):
    """Return the seconds of `coursekit grade`, from start to tables."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder, "work")
        work.mkdir()
        for name, content in data.items():
            (work / f"{name}.ipynb").write_bytes(content)
        command = [sys.executable, "-m", "coursegrade", "grade", str(MASTER)]
        command += [str(work), "--out", str(Path(folder, "grades"))]
        start = time.perf_counter()
        finish(command)
        spent = time.perf_counter() - start
        grades = Path(folder, "grades/tiny/grades.csv").read_text()
        assert grades.count(",ok,") == 3 * len(data), (
            "a good notebook was not graded so"
        )
        return spent


def grade_theirs(data):
    """Return the seconds of nbgrader's autograde."""
    from coursegrade.assignment.master import read_master
    from coursegrade.release import write_source

    folder = Path(tempfile.mkdtemp())
    try:
        write_source(read_master(MASTER), folder)
        nbgrader(folder, "generate_assignment")
        for name, content in data.items():
            place = folder / "submitted" / name / "tiny"
            place.mkdir(parents=True)
            (place / "tiny.ipynb").write_bytes(content)
        start = time.perf_counter()
        nbgrader(folder, "autograde")
        return time.perf_counter() - start
    finally:
        shutil.rmtree(folder)


def nbgrader(folder, command):
    """Run one of nbgrader's commands in a course's folder."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    finish(
        [
            *(sys.executable, "-m", "nbgrader", command, "tiny"),
            f"--course-dir={folder}",
            f"--CourseDirectory.db_url=sqlite:///{folder / 'gradebook.db'}",
            # On a busy machine its own limits would end the comparison.
            "--ExecutePreprocessor.timeout=900",
            "--ExecutePreprocessor.startup_timeout=900",
        ],
        cwd=folder,
        env={**os.environ, "PATH": path},
    )


def finish(command, **options):
    """Run a command; where it fails, end with its last words."""
    run = subprocess.run(
        command, capture_output=True, text=True, check=False, **options
    )
    if run.returncode:
        said = (run.stderr or run.stdout).strip()[-800:]
        raise SystemExit(f"{' '.join(command[:5])}: status {run.returncode}\n{said}")


def through_dask(content, many):
    """Return seconds of both halves, MB that this process grew by, all seconds."""
    from distributed import LocalCluster

    from coursegrade.gradebook import intake, whole_class
    from coursegrade.gradebook.layouts import Owner

    names = [f"s{n:05d}" for n in range(many)]
    work = [
        intake.Submission(name, Owner(name, "", name, "file name"), content)
        for name in names
    ]
    times, sizes = [], []

    class Progress:
        def __init__(self, count):
            pass

        def update(self, count):
            times.append(time.perf_counter())
            sizes.append(resident_mb())

        def close(self):
            pass

    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as dask,
    ):
        settings = whole_class.Settings(scheduler=dask.scheduler_address)
        text = MASTER.read_text(encoding="utf-8")
        entries = whole_class.grade_class(
            text, work, folder, settings, progress=Progress
        )
    assert len(entries) == many, "a grade is missing"
    # The first tenth holds the start of the processes.
    first, middle, last = many // 10, many * 11 // 20, many - 1
    halves = (times[middle] - times[first], times[last] - times[middle])
    return halves, sizes[last] - sizes[first], times[last] - times[0]


def resident_mb():
    """Return this process's memory, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
