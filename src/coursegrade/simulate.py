"""A pretend class, to try the grader before there is a real one."""

from pathlib import Path

from coursegrade.assignment import needs
from coursegrade.assignment.master import released_source
from coursegrade.statuses import Status
from coursekit.grading import PUBLIC

KINDS = "good wrong good unfinished good exits good reads good loops".split()
# What a kind's task gets, and the code behind the master's own solution.
_STATUS = {
    "wrong": Status.WRONG,
    "unfinished": Status.MISSING,
    "exits": Status.DIED,
    "reads": Status.WRONG,
    "loops": Status.TIMEOUT,
}
_CODE = {
    "wrong": "",
    "exits": "import os\nos._exit(0)",
    "loops": "while True:\n    pass",
    "reads": (
        "from pathlib import Path\n"
        "found = [p for p in Path('/').glob('home/*/*.md')]\n"
        "assert not found, 'the grader lies open'"
    ),
}


def simulate(master, out, students=30, secret=PUBLIC):
    """Write the notebooks of a pretend class; return what each should get.

    Half of them are good; the others have one task that is wrong or left out,
    ends its own process, looks for the answers, or never ends. The kinds take
    turns, and so do the tasks; the task with the least time is the one that
    never ends.

    Parameters
    ----------
    master : Master
    out : str or pathlib.Path
        The folder of the notebooks, ``student01.ipynb`` and so on.
    students : int
    secret : str
        The class secret.

    Returns
    -------
    list of dict
        ``id``, ``kind``, ``task`` and ``status`` that each task should get.
    """
    import nbformat

    from coursegrade.release import source_notebook

    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    tasks = [task for task in master.tasks.values() if not task.manual]
    quickest = min(tasks, key=lambda task: task.seconds)
    cells = {cell.id: cell for cell in master.cells}
    expected = []
    for number in range(students):
        student, kind = f"student{number + 1:02d}", KINDS[number % len(KINDS)]
        task = quickest if kind == "loops" else tasks[number // len(KINDS) % len(tasks)]
        made = source_notebook(master, secret)
        for cell in made.cells:
            known = cell.metadata.get("nbgrader") or cell.metadata.get("coursekit")
            cell_id = (known or {}).get("grade_id", "")
            if cell_id == "student":
                cell.source = f"{cell.source}\nstudent_id = {student!r}"
            if kind != "good" and any(cell_id == one.id for one in task.answers):
                first = cell.source.partition("\n")[0]
                cell.source = f"{first}\n{_answer(cells[cell_id], kind)}"
        nbformat.write(made, out / f"{student}.ipynb")
        for one in master.tasks.values():
            status = Status.NEEDS_REVIEW if one.manual else Status.OK
            if kind != "good" and one.name == task.name:
                status = _STATUS[kind]
            row = {"id": student, "kind": kind, "task": one.name, "status": status}
            expected.append(row)
    return expected


def _answer(cell, kind):
    if kind == "unfinished":
        return released_source(cell)
    lost = " = ".join(sorted(needs.defined(cell.source)))
    after = f"\n{lost} = None" if kind in ("wrong", "reads") else ""
    return f"{cell.source}\n{_CODE[kind]}{after}"
