"""Grade a class: spread the work, keep the journal, put the rows together."""

import contextlib
import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from coursegrade.assignment.master import parse_master
from coursegrade.examiner.client import grade_submission
from coursegrade.gradebook.journal import Journal
from coursegrade.gradebook.marks import answer_digest
from coursegrade.sandbox.bubblewrap import SandboxError, why_not
from coursegrade.statuses import Status
from coursekit.grading import PUBLIC, class_key

# What of a job does not go into the journal.
_WORK = ("data", "problem", "asked", "master", "secret", "trust", "tasks")


@dataclass(frozen=True)
class Settings:
    """How a class is graded.

    ``secret`` is the class secret; ``trust`` grades without a sandbox;
    ``jobs`` is how many are graded at a time, by default one a core; ``scheduler``
    is the address of a Dask scheduler, or empty.
    """

    secret: str = PUBLIC
    trust: bool = False
    jobs: int | None = None
    scheduler: str = ""


def grade_class(text, submissions, out, settings, again=(), only=(), progress=None):
    """Grade what is not graded yet; return the journal's entries by id.

    Parameters
    ----------
    text : str
        The master.
    submissions : list of Submission
    out : str or pathlib.Path
        The folder of the journal.
    settings : Settings
    again, only : iterable of str
        Ids to grade once more; tasks to grade once more, for these ids or for all.
    progress : callable, optional
        Takes the number of submissions to grade; returns an object with ``update(n)``
        and ``close()``. Without, a bar is shown.

    Raises
    ------
    SandboxError
        If there is no sandbox and the work is not trusted.
    ValueError
        If an id or task that should be graded again is not known.
    """
    if not settings.trust and not settings.scheduler and (reason := why_not()):
        raise SandboxError(reason)
    master = parse_master(text)
    _check_known("submission", again, [one.id for one in submissions])
    _check_known("task", only, master.tasks)
    journal = Journal(Path(out) / "journal.jsonl")
    jobs = to_grade(text, submissions, journal, settings, again, only)
    progress = progress or partial(_bar, master.name)
    if jobs:
        with contextlib.closing(progress(len(jobs))) as bar:
            for entry in _run(jobs, settings):
                journal.add(_merged(entry, journal.entries.get(entry["id"]), master))
                bar.update(1)
    return known(master, submissions, journal)


def known(master, submissions, journal):
    """Return an entry for each student who is graded so far, by id.

    An entry has ``id``, ``name``, ``label``, ``where``, ``platform`` and ``late`` (see
    :class:`~coursegrade.gradebook.layouts.Owner`), ``digest``, ``key`` (the class key),
    ``answers`` (the fingerprint of each task's), ``texts`` (those that a person marks)
    and ``rows``.
    Who was graded in an earlier run and is not among the submissions now is kept,
    with a ``note``, under the newest id.
    """
    made, seen = {}, set()
    for one in submissions:
        seen |= _places(vars(one.owner)) | {one.owner.where}
        if one.id in journal.entries:
            made[one.id] = {**journal.entries[one.id], **_person(one, master)}
    here, earlier = {one.id for one in submissions}, {}
    for student, entry in reversed(journal.entries.items()):
        # The same place under another id: the roster has changed, not the class.
        mine = _places(entry)
        if student not in here and seen.isdisjoint(mine | {entry.get("where")}):
            earlier[student] = {**entry, "note": "graded earlier, not handed in now"}
            seen |= mine
    made |= reversed(earlier.items())
    for entry in made.values():
        entry["rows"] = [r for r in entry["rows"] if r["task"] in master.tasks]
    return made


def to_grade(text, submissions, journal, settings, again=(), only=()):
    """Return the jobs of the submissions that are not graded yet, or wanted anew."""
    master, jobs = parse_master(text), []
    # A fingerprint of what grades depend on besides the notebook.
    key = class_key(settings.secret, master.name)
    content = "\0".join((text, key, str(settings.trust))).encode()
    stamp = hashlib.sha256(content).hexdigest()[:16]
    for one in submissions:
        old = journal.entries.get(one.id)
        done = old is not None and (old["digest"], old["stamp"]) == (one.digest, stamp)
        wanted = one.id in again if again else bool(only)
        tasks = list(only) if done and wanted else []
        if done and not wanted:
            tasks = [row["task"] for row in old["rows"] if _unsure(row)]
        if not done or wanted or tasks:
            jobs.append(
                _person(one, master)
                | {"digest": one.digest, "stamp": stamp, "key": key, "data": one.data}
                | {"problem": one.problem, "asked": one.asked, "tasks": tasks}
                | {"master": text, "secret": settings.secret, "trust": settings.trust}
            )
    return jobs


def absent(master, student):
    """Return the entry of who is on the roster and handed in nothing."""
    rows = _rows(master, master.tasks, Status.MISSING, "nothing handed in")
    return {"id": student, "absent": True, "rows": rows}


def _bar(name, count):
    return tqdm(total=count, desc=name, unit="notebook")


def _run(jobs, settings):
    """Yield the entries of the jobs as they are done, in any order."""
    from joblib import Parallel, delayed, parallel_config

    with contextlib.ExitStack() as stack:
        if settings.scheduler:
            from distributed import Client

            stack.enter_context(Client(settings.scheduler))
            how = parallel_config(backend="dask")
        else:
            # The work is done by processes; the threads wait for them.
            how = parallel_config(backend="threading", n_jobs=settings.jobs or -1)
        stack.enter_context(how)
        # A batch would be lost as a whole, and few jobs wait at a time: of ten
        # thousand notebooks, the scheduler holds a handful.
        run = Parallel(
            return_as="generator_unordered", batch_size=1, pre_dispatch="4*n_jobs"
        )
        yield from run(delayed(grade_entry)(job) for job in jobs)


def grade_entry(job):
    """Grade one job; return its entry for the journal, without the notebook."""
    if job["asked"]:
        master = parse_master(job["master"])
        names = job["tasks"] or master.tasks
        rows = _rows(master, names, Status.NOT_GRADED, job["problem"])
    else:
        rows = grade_submission(job)
    kept = {key: value for key, value in job.items() if key not in _WORK}
    return {**kept, "rows": rows}


def _rows(master, names, status, message):
    points = None if status.points == "open" else 0
    row = {"points": points, "status": status, "message": message, "seconds": 0.0}
    return [{"task": name, "of": master.tasks[name].points, **row} for name in names]


def _person(one, master):
    """Return what an entry tells of a submission besides its rows.

    The texts that a person marks stay in the journal: other hand-ins come later.
    """
    owner, tasks = vars(one.owner), master.tasks
    known = ("name", "label", "where", "platform", "late", "time")
    return {"id": one.id, **{key: owner[key] for key in known}} | {
        "file": one.file,
        "answers": {name: answer_digest(text) for name, text in one.answers.items()},
        "texts": {name: t for name, t in one.answers.items() if tasks[name].manual},
    }


def _places(person):
    """Return what is one person's alone: the label, and the place for feedback.

    Platforms write a time or an upload's number into a place; of Gradescope's, a
    whole group has one.
    """
    platform, group = person.get("platform"), person.get("platform") == "Gradescope"
    keys = ("label",) if group else ("label", "where")
    return {(key, platform, person[key]) for key in keys if person.get(key)}


def _unsure(row):
    """Tell whether a row is not a grade yet, or could be a neighbour's doing."""
    status = Status(row["status"])
    return status.again or (status.alone and not row.get("alone"))


def _merged(entry, old, master):
    """Return an entry with the rows of the tasks that were not graded again."""
    rows = {row["task"]: row for row in entry["rows"]}
    if old is not None and old["digest"] == entry["digest"]:
        rows = {row["task"]: row for row in old["rows"]} | rows
    return {**entry, "rows": [rows[name] for name in master.tasks if name in rows]}


def _check_known(what, asked, known):
    if strange := sorted(set(asked) - set(known)):
        raise ValueError(
            f"no {what} {', '.join(strange)}; there are {', '.join(sorted(known))}"
        )
