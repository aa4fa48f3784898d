"""Grade a class: spread the work, keep the journal, put the rows together."""

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from coursegrade.assignment.master import parse_master
from coursegrade.examiner.client import grade_submission
from coursegrade.gradebook.journal import Journal
from coursegrade.sandbox.bubblewrap import SandboxError, why_not
from coursegrade.statuses import Status
from coursekit.grading import PUBLIC, class_key


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
    again : iterable of str
        Ids to grade once more.
    only : iterable of str
        Tasks to grade once more, for the ids in ``again`` or for all.
    progress : callable, optional
        Called with the number of submissions to grade; returns an object with
        ``update(n)`` and ``close()``, such as ``tqdm``.

    Returns
    -------
    dict of str to dict
        ``id``, ``name``, ``where``, ``submitted`` (ISO 8601), ``digest`` and
        ``rows`` of every submission that is graded so far.

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
    _known("submission", again, [one.id for one in submissions])
    _known("task", only, master.tasks)
    journal = Journal(Path(out) / "journal.jsonl")
    stamp = _stamp(text, settings, master)
    jobs = [
        job
        for one in submissions
        if (job := _job(one, text, settings, stamp, journal, again, only)) is not None
    ]
    bar = progress(len(jobs)) if progress and jobs else None
    try:
        for entry in _run(jobs, settings):
            journal.add(_merged(entry, journal.entries.get(entry["id"]), master))
            if bar:
                bar.update(1)
    finally:
        if bar:
            bar.close()
    present = {one.id for one in submissions}
    return {key: one for key, one in journal.entries.items() if key in present}


def _run(jobs, settings):
    """Yield the entries of the jobs as they are done, in any order."""
    from joblib import Parallel, delayed, parallel_config

    if not jobs:
        return
    if settings.jobs == 1 and not settings.scheduler:
        yield from map(grade_entry, jobs)
        return
    # A batch would be lost as a whole, and few jobs wait at a time: of ten
    # thousand notebooks, the scheduler holds a handful.
    how = {"return_as": "generator_unordered", "batch_size": 1}
    how["pre_dispatch"] = "4*n_jobs"
    with contextlib.ExitStack() as stack:
        if settings.scheduler:
            from distributed import Client

            stack.enter_context(Client(settings.scheduler))
            stack.enter_context(parallel_config(backend="dask"))
        else:
            how["n_jobs"] = min(settings.jobs or _cores(), len(jobs))
            # The work is done by processes; the threads wait for them.
            stack.enter_context(parallel_config(backend="threading"))
        yield from Parallel(**how)(delayed(grade_entry)(job) for job in jobs)


def grade_entry(job):
    """Grade one job; return its entry for the journal, without the notebook."""
    rows = grade_submission(job)
    kept = ("id", "name", "where", "submitted", "digest", "stamp")
    return {**{key: job[key] for key in kept}, "rows": rows}


def _job(one, text, settings, stamp, journal, again, only):
    """Return the work that a submission still needs, or None."""
    old = journal.entries.get(one.id)
    done = old is not None and (old["digest"], old["stamp"]) == (one.digest, stamp)
    wanted = one.id in again if again else bool(only)
    tasks = list(only) if done and wanted else []
    if done and not wanted:
        tasks = [r["task"] for r in old["rows"] if Status(r["status"]).again]
        if not tasks:
            return None
    return {
        "id": one.id,
        "name": one.name,
        "where": one.where,
        "submitted": one.submitted.isoformat(timespec="seconds"),
        "digest": one.digest,
        "stamp": stamp,
        "data": one.data,
        "problem": one.problem,
        "master": text,
        "secret": settings.secret,
        "trust": settings.trust,
        "tasks": tasks,
    }


def _merged(entry, old, master):
    """Return an entry with the rows of the tasks that were not graded again."""
    rows = {row["task"]: row for row in entry["rows"]}
    if old is not None and old["digest"] == entry["digest"]:
        rows = {row["task"]: row for row in old["rows"]} | rows
    ordered = [rows[name] for name in master.tasks if name in rows]
    return {**entry, "rows": ordered}


def _stamp(text, settings, master):
    """Return a fingerprint of what grades depend on besides the notebook."""
    key = class_key(settings.secret, master.name)
    content = "\0".join((text, key, str(settings.trust)))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _known(what, asked, known):
    if strange := sorted(set(asked) - set(known)):
        raise ValueError(
            f"no {what} {', '.join(strange)}; there are {', '.join(sorted(known))}"
        )


def _cores():
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
