"""Find the submissions in a folder or zip, under whose names they lie there."""

import hashlib
import os
import re
import stat
import unicodedata
import zipfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from coursegrade.examiner.notebook import LIMIT_MB

_LIMIT = LIMIT_MB * 2**20
# "Ada Lovelace_1234567_assignsubmission_file_" and what follows (Moodle).
_MOODLE = re.compile(r"(?P<name>.*)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)_?")
# "lovelaceada_LATE_12345_67890_initializers-2.ipynb" (Canvas).
_CANVAS = re.compile(r"(?P<name>[^_]+)_(?:LATE_)?(?P<id>\d+)_(?P<file>\d+)_.*")
_SKIPPED = {"__MACOSX", ".ipynb_checkpoints"}


class IntakeError(ValueError):
    """There is nothing to grade where it was said to be."""


@dataclass(frozen=True)
class Submission:
    """One student's notebook.

    ``id`` is the student's; ``name`` what the learning platform called it, or
    empty; ``where`` the folder's or file's name there, for feedback to go back
    under. ``data`` are the notebook's bytes, None with a ``problem``.
    ``submitted`` is the time of the file.
    """

    id: str
    name: str
    where: str
    data: bytes | None
    problem: str
    submitted: datetime

    @property
    def digest(self):
        """A fingerprint of the content, by which a change is noticed."""
        content = self.data if self.data is not None else self.problem.encode()
        return hashlib.sha256(content).hexdigest()[:16]


def collect(path, ids=None):
    """Return the submissions of a folder or zip, by id, in order.

    One notebook a student, named by the folder or by the file: ``ada.ipynb``,
    ``ada/work.ipynb``, and the names of Moodle and Canvas. Of several, the
    latest counts.

    Parameters
    ----------
    path : str or pathlib.Path
    ids : dict of str to str, optional
        What stands in the name, and the student's id instead (a roster).

    Raises
    ------
    IntakeError
        If there is no such folder or zip, or no notebook in it.
    """
    path = Path(path)
    if path.is_dir():
        found = _folder(path)
    elif path.is_file() and zipfile.is_zipfile(path):
        found = _zip(path)
    else:
        raise IntakeError(f"{path}: neither a folder nor a zip of notebooks")
    latest = {}
    for parts, data, problem, time in found:
        label, name, where = _who(parts)
        student = clean((ids or {}).get(label, label))
        one = Submission(student, name, where, data, problem, time)
        if student not in latest or latest[student].submitted <= time:
            latest[student] = one
    if not latest:
        raise IntakeError(f"{path}: no notebook (*.ipynb) in it")
    return [latest[key] for key in sorted(latest)]


def clean(text):
    """Return a stranger's name as one printable line of at most 80 characters."""
    text = unicodedata.normalize("NFC", str(text))
    text = "".join(c if c.isprintable() and c not in "/\\" else "_" for c in text)
    return text.strip()[:80] or "_"


def file_name(student):
    """Return a name for a student's file that every file system takes."""
    plain = re.sub(r"[^A-Za-z0-9-]+", "_", student).strip("_")[:60] or "student"
    if plain == student:
        return plain
    return f"{plain}-{hashlib.sha256(student.encode()).hexdigest()[:8]}"


def _who(parts):
    """Return the id, the name and the place that a path's parts tell."""
    for part in parts:
        if match := _MOODLE.match(part):
            return match["id"], match["name"], match[0].rstrip("_") + "_"
    stem = parts[-1].removesuffix(".ipynb")
    if match := _CANVAS.fullmatch(stem):
        return match["id"], match["name"], stem
    if len(parts) > 1:
        return parts[0], "", parts[0]
    return stem, "", stem


def _wanted(parts):
    hidden = any(part in _SKIPPED or part.startswith("._") for part in parts)
    return parts and parts[-1].endswith(".ipynb") and not hidden


def _folder(path):
    # No link is followed: it could lead to another student's work.
    for name, folders, files in os.walk(path):
        folder = Path(name)
        folders[:] = sorted(f for f in folders if not (folder / f).is_symlink())
        for name in sorted(files):
            file = folder / name
            parts = file.relative_to(path).parts
            if not _wanted(parts):
                continue
            info = file.lstat()
            time = datetime.fromtimestamp(info.st_mtime)
            if not stat.S_ISREG(info.st_mode):
                yield parts, None, "not a file of its own, but a link", time
            elif info.st_size > _LIMIT:
                yield parts, None, _too_large(), time
            else:
                try:
                    yield parts, file.read_bytes(), "", time
                except OSError as error:
                    yield parts, None, f"cannot be read: {error.strerror}", time


def _zip(path):
    # Nothing is unpacked to a name from the zip, and no size in it is believed.
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = entry.filename.replace("\\", "/")
            parts = [p for p in PurePosixPath(name).parts if p not in ("/", "..", ".")]
            if entry.is_dir() or not _wanted(parts):
                continue
            time = datetime(*entry.date_time)
            if stat.S_ISLNK(entry.external_attr >> 16):
                yield parts, None, "not a file of its own, but a link", time
                continue
            try:
                with archive.open(entry) as file:
                    data = file.read(_LIMIT + 1)
            except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError):
                yield parts, None, "damaged inside the zip, or with a password", time
                continue
            if len(data) > _LIMIT:
                yield parts, None, _too_large(), time
            else:
                yield parts, data, "", time


def _too_large():
    return (
        f"larger than {LIMIT_MB} MB: clear the notebook's outputs and hand it in again"
    )
