"""The journal of a run: what is graded stays graded, whatever happens next."""

import json
import os
from pathlib import Path


class Journal:
    """An append-only file of graded submissions, one JSON line each.

    A line is on the disk before the next submission counts. A line that a crash
    cut off is not read, and the submission is graded again. ``entries`` are in the
    order in which they were written.

    Parameters
    ----------
    path : str or pathlib.Path
        Made with the first entry.
    """

    def __init__(self, path):
        self.path, self.entries = Path(path), {}
        raw = self.path.read_bytes() if self.path.exists() else b""
        whole, _, cut = raw.rpartition(b"\n")
        for line in whole.splitlines():
            try:
                entry = json.loads(line)
                # A line that lacks one of these is no grade.
                one, *_ = (entry[key] for key in ("id", "digest", "stamp", "rows"))
                self._last(one, entry)
            except (ValueError, KeyError, TypeError):
                continue
        self._cut = bool(cut)

    def add(self, entry):
        """Write an entry; the last one of an id counts."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a", encoding="utf-8") as file:
            # The line must not begin in the middle of one that was cut off.
            file.write("\n" * self._cut)
            self._cut = False
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._last(entry["id"], entry)

    def _last(self, student, entry):
        # Behind all others: who asks for the newest looks there.
        self.entries.pop(student, None)
        self.entries[student] = entry


def write_atomically(path, content):
    """Write text or bytes so that a reader finds the old file or the new one, whole."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two runs at once write two files, and the last one stays.
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with open(part, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
