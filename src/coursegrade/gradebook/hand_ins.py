"""The files of a folder or zip that holds hand-ins, without trusting any of them."""

import contextlib
import io
import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from coursegrade.examiner.notebook import LIMIT_MB, UnreadableError

# A zip in a zip is unpacked in memory.
_INNER_MB, _INNER_FILES, _DEPTH = 100, 2000, 3
_NAME = 255
_LINK = "not a file of its own, but a link"
_TOOLS = re.compile(
    r"\.(?!ipynb$).+|__MACOSX|__pycache__|Thumbs\.db|desktop\.ini|Icon[\r_]|node_modules|venv",
    re.IGNORECASE,
)


class IntakeError(ValueError):
    """There is nothing to grade where it was said to be."""


@dataclass(frozen=True)
class File:
    """A file that was handed in, or something in its place.

    ``parts`` are those of its path, as plain text; a zip counts as a folder.
    ``read`` returns the first ``LIMIT_MB`` and one byte, or raises UnreadableError;
    ``problem`` says why it cannot; ``aside`` why it is no hand-in, a tool's own file.
    """

    parts: tuple[str, ...]
    read: Callable[[], bytes] | None = None
    problem: str = ""
    aside: str = ""

    @property
    def path(self):
        """The path as a text."""
        return "/".join(self.parts)


def files_in(path, without=()):
    """Return the files of a folder or zip, zips inside of it opened, or a notebook.

    Folders of ``without`` are left out, if they lie inside of it. No time is read: a
    file's is that of a download, or what its owner chose.

    Raises
    ------
    IntakeError
        If there is no such folder or zip, or the zip is damaged as a whole.
    """
    path = Path(path)
    if path.is_dir():
        found = _told(_in_folder(path, set(map(Path.resolve, without))))
    elif path.is_file() and path.suffix.lower() == ".ipynb":
        found = [File((_decoded(path.name),), partial(_read, partial(path.open, "rb")))]
    elif path.is_file():
        try:
            archive = zipfile.ZipFile(path)
        except Exception as error:
            raise IntakeError(
                f"{path}: neither a folder nor a zip that can be read ({error}): "
                "download it again, or unpack another archive and name the folder"
            ) from None
        # It stays open: a class's zip has a long directory.
        found = _told(_in_zip(archive, lambda entry: partial(archive.open, entry)))
    else:
        raise IntakeError(f"{path}: neither a folder nor a zip: there is no such file")
    return sorted(found, key=lambda file: file.parts)


def plain(text):
    """Return a stranger's text as one printable line, its letters composed.

    What nobody sees is left out: marks of a direction, joiners, a byte order mark.
    """
    seen = []
    for c in unicodedata.normalize("NFC", str(text)):
        kind = unicodedata.category(c)
        if kind != "Cf":
            seen.append(c if c.isprintable() else " " if kind == "Zs" else "_")
    return "".join(seen).strip()


def _in_folder(root, without):
    """Yield of all in a folder its parts, how to open it, and a problem.

    The last part of a folder is empty. No link is followed: it could lead to another
    student's work.
    """
    denied = []
    for name, folders, names in os.walk(root, onerror=denied.append):
        here = Path(name)
        folders[:] = [n for n in folders if (here / n).resolve() not in without]
        parts = tuple(map(_decoded, here.relative_to(root).parts))
        yield (*parts, ""), None, ""
        closed = [n for n in folders if (here / n).is_symlink() or _TOOLS.fullmatch(n)]
        folders[:] = sorted(set(folders) - set(closed))
        for one in (*closed, *names):
            path = here / one
            is_file = os.path.isfile(path) or not os.path.lexists(path)
            problem = "" if is_file and not os.path.islink(path) else _LINK
            yield (*parts, _decoded(one)), partial(open, path, "rb"), problem
    for error in denied:
        place = Path(os.fsdecode(error.filename)).relative_to(root).parts
        problem = f"cannot be read: {error.strerror}"
        yield (*map(_decoded, place), ""), None, problem


def _in_zip(archive, opened):
    """Yield the same of a zip; ``opened`` tells how to open an entry.

    Nothing is unpacked to a name from the zip, and no size in it is believed.
    """
    for entry in archive.infolist():
        # Some tools of Windows write its separator, for folders as well.
        name = _zip_name(entry).replace("\\", "/")
        parts = [plain(part) or "_" for part in name.split("/") if part.strip(". ")]
        if name.endswith("/"):
            yield (*parts, ""), None, ""
        elif parts:
            problem = _LINK if stat.S_ISLNK(entry.external_attr >> 16) else ""
            yield tuple(parts), opened(entry), problem


def _told(found, before=(), depth=1):
    """Yield the files of what was found, behind some parts; zips are opened."""
    filled, folders = set(), {before}
    for parts, opened, problem in found:
        path = (*before, *(part[:_NAME] for part in parts))
        if max(map(len, parts)) > _NAME:
            # No file system has it; patterns need not take it either.
            problem = f"a name of more than {_NAME} characters"
        tools = [n for n, part in enumerate(parts) if _TOOLS.fullmatch(part)]
        folders.add((*before, *parts[: tools[0]]) if tools else path[:-1])
        if tools:
            yield File(path, aside="a tool's own file")
        elif opened or problem:
            filled.update(path[:n] for n in range(len(path)))
            if problem:
                yield File(path, problem=problem)
            elif re.fullmatch(r"(?i).+\.zip", path[-1]):
                yield from _zipped(path, opened, depth)
            else:
                yield File(path, partial(_read, opened))
    # Whose folder holds nothing, or a tool's files alone, has handed in all the same.
    empty = folders - filled - {()}
    for one in empty - {path[:n] for path in empty for n in range(len(path))}:
        what = "zip" if one == before else "folder"
        yield File((*one, ""), problem=f"an empty {what}")


def _zipped(path, opened, depth):
    """Return the files of a zip that was handed in, which is a folder of its name."""
    packed, path, found = path, (*path[:-1], path[-1][: -len(".zip")]), []
    problem = "a zip in a zip in a zip: hand in the .ipynb file itself"
    if depth < _DEPTH:
        try:
            with _archive(opened) as archive:
                inside = partial(partial, _inside, opened)
                found, problem = list(_in_zip(archive, inside)), ""
        except Exception:
            # Whatever a stranger's zip raises costs this zip alone.
            problem = "a damaged zip: hand in the .ipynb file itself"
    if len(found) > _INNER_FILES:
        problem = f"a zip of more than {_INNER_FILES} files"
    return [File(packed, problem=problem)] if problem else _told(found, path, depth + 1)


@lru_cache(maxsize=2)
def _unpacked(opened):
    """Return a zip inside a zip; a few stay, since their files are read in turn."""
    with opened() as file:
        return zipfile.ZipFile(io.BytesIO(file.read(_INNER_MB * 2**20)))


@contextlib.contextmanager
def _archive(opened):
    if getattr(opened, "func", None) is open:
        with opened() as file:
            yield zipfile.ZipFile(file)
    else:
        yield _unpacked(opened)


@contextlib.contextmanager
def _inside(opened, entry):
    with _archive(opened) as archive, archive.open(entry) as file:
        yield file


def _read(opened):
    try:
        with opened() as file:
            return file.read(LIMIT_MB * 2**20 + 1)
    except Exception as error:
        # A disk's; or zlib, lzma, a password, a method or an offset that is not there.
        said = getattr(error, "strerror", None)
        said = f"cannot be read: {said}" if said else ""
        raise UnreadableError(
            said or "damaged inside the zip, or with a password: hand in the notebook"
        ) from None


def _zip_name(entry):
    """Return an entry's name; some tools write UTF-8 and do not say so."""
    if entry.flag_bits & 0x800:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return entry.filename


def _decoded(name):
    """Return a file's name as text, whatever encoding an old tool gave it."""
    raw = os.fsencode(name)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "replace")
    return plain(text) or "_"
