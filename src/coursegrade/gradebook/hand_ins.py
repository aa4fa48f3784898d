"""The files of a folder or zip that holds hand-ins, without trusting any of them."""

import io
import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coursegrade.examiner.notebook import LIMIT_MB, UnreadableError

# A zip in a zip is unpacked in memory.
_INNER_MB, _INNER_FILES, _DEPTH = 100, 2000, 3
_TOOL = "a tool's own file"
_NAME = 255
_LINK = "not a file of its own, but a link"
_TOOLS = re.compile(
    r"\..+|__MACOSX|__pycache__|Thumbs\.db|desktop\.ini|Icon\r|node_modules|venv",
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


def files_in(path):
    """Return the files of a folder or zip, zips inside of it opened, or a notebook.

    No time is read: a file's is that of a download, or what its owner chose.

    Raises
    ------
    IntakeError
        If there is no such folder or zip, or the zip is damaged as a whole.
    """
    path = Path(path)
    if path.is_dir():
        found = _folder(path)
    elif path.is_file() and path.suffix.lower() == ".ipynb":
        found = _file(path, (_decoded(path.name),))
    elif path.is_file():
        try:
            archive = zipfile.ZipFile(path)
        except Exception as error:
            raise IntakeError(
                f"{path}: neither a folder nor a zip that can be read ({error}): "
                "download it again"
            ) from None
        found = _zip(lambda: archive, (), 1, keep=True)
    else:
        raise IntakeError(f"{path}: neither a folder nor a zip: there is no such file")
    return sorted(found, key=lambda file: file.parts)


def plain(text):
    """Return a stranger's text as one printable line, its letters composed."""
    text = unicodedata.normalize("NFC", str(text))
    return "".join(c if c.isprintable() else "_" for c in text).strip()


def _folder(root):
    # No link is followed: it could lead to another student's work.
    denied = []
    for name, folders, names in os.walk(root, onerror=denied.append):
        here = Path(name)
        parts = tuple(map(_decoded, here.relative_to(root).parts))
        links = [one for one in folders if (here / one).is_symlink()]
        tools = [one for one in folders if _TOOLS.fullmatch(one)]
        folders[:] = sorted(set(folders) - set(links) - set(tools))
        for one in links:
            yield File((*parts, _decoded(one)), problem=_LINK)
        for one in tools:
            yield File((*parts, _decoded(one), ""), aside=_TOOL)
        kept = [one for one in names if not _TOOLS.fullmatch(one)]
        for one in sorted(set(names) - set(kept)):
            yield File((*parts, _decoded(one)), aside=_TOOL)
        for one in kept:
            yield from _file(here / one, (*parts, _decoded(one)))
        if parts and not (folders or links or kept):
            yield File((*parts, ""), problem="an empty folder")
    for error in denied:
        place = Path(os.fsdecode(error.filename)).relative_to(root).parts
        problem = f"cannot be read: {error.strerror}"
        yield File((*map(_decoded, place), ""), problem=problem)


def _file(path, parts):
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        yield File(parts, problem=f"cannot be read: {error.strerror}")
        return
    if not stat.S_ISREG(mode):
        yield File(parts, problem=_LINK)
    elif _is_zip(parts):
        yield from _inner(lambda: path, parts, 1)
    else:

        def read():
            try:
                with path.open("rb") as file:
                    return file.read(LIMIT_MB * 2**20 + 1)
            except OSError as error:
                raise UnreadableError(f"cannot be read: {error.strerror}") from None

        yield File(parts, read)


def _inner(opened, parts, depth):
    """Yield the files of a zip that was handed in; a folder of its name."""
    parts = (*parts[:-1], parts[-1][: -len(".zip")])
    if depth >= _DEPTH:
        yield File(
            parts, problem="a zip in a zip in a zip: hand in the .ipynb file itself"
        )
        return
    try:
        yield from _zip(lambda: zipfile.ZipFile(opened()), parts, depth + 1)
    except Exception:
        # Whatever a stranger's zip raises costs this zip alone.
        yield File(parts, problem="a damaged zip: hand in the .ipynb file itself")


def _zip(opened, before, depth, keep=False):
    # Nothing is unpacked to a name from the zip, and no size in it is believed.
    archive = opened()
    entries = archive.infolist()
    if not keep:
        archive.close()
        if len(entries) > _INNER_FILES:
            yield File(before, problem=f"a zip of more than {_INNER_FILES} files")
            return
    filled = {
        one.filename.rpartition("/")[0] + "/" for one in entries if not one.is_dir()
    }
    for entry in entries:
        name = _zip_name(entry).replace("\\", "/")
        parts = (*before, *map(plain, (p for p in name.split("/") if p.strip(". "))))
        if len(parts) == len(before):
            continue
        if max(map(len, parts)) > _NAME:
            # No file system has it; patterns need not take it either.
            parts = tuple(part[:_NAME] for part in parts)
            yield File(parts, problem=f"a name of more than {_NAME} characters")
        elif any(map(_TOOLS.fullmatch, parts[len(before) :])):
            yield File(parts, aside=_TOOL)
        elif entry.is_dir():
            if not any(one.startswith(entry.filename) for one in filled):
                yield File((*parts, ""), problem="an empty folder")
        elif stat.S_ISLNK(entry.external_attr >> 16):
            yield File(parts, problem=_LINK)
        elif _is_zip(parts):
            most = _INNER_MB * 2**20
            yield from _inner(
                _entry(opened, entry, keep, most, io.BytesIO), parts, depth
            )
        else:
            yield File(parts, _entry(opened, entry, keep, LIMIT_MB * 2**20 + 1))


def _entry(opened, entry, keep, most, made=bytes):
    def read():
        archive = opened()
        try:
            with archive.open(entry) as file:
                return made(file.read(most))
        except Exception:
            # zlib, lzma, a password, a method or an offset that is not there.
            raise UnreadableError(
                "damaged inside the zip, or with a password"
            ) from None
        finally:
            if not keep:
                archive.close()

    return read


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
        return plain(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return plain(raw.decode("cp1252", "replace"))


def _is_zip(parts):
    return parts[-1].lower().endswith(".zip") and len(parts[-1]) > len(".zip")
