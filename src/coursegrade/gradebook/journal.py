"""The journal of a run: what is graded stays graded, whatever happens next."""

import json
import os
from pathlib import Path


class Journal:
    """An append-only file of graded submissions, one JSON line each.

    A line is on the disk before the next submission counts. A line that a crash
    cut off is not read, and the submission is graded again.

    Parameters
    ----------
    path : str or pathlib.Path
        Made when it is not there.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.entries = {}
        if self.path.exists():
            self._read()

    def _read(self):
        raw = self.path.read_bytes()
        whole, _, cut = raw.rpartition(b"\n")
        for line in whole.splitlines():
            try:
                entry = json.loads(line)
                self.entries[entry["id"]] = entry
            except (ValueError, KeyError, TypeError):
                continue
        if cut:
            # The next line must not begin in the middle of this one.
            with open(self.path, "ab") as file:
                file.write(b"\n")

    def add(self, entry):
        """Write an entry, which has an ``id``; the last one of an id counts."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.entries[entry["id"]] = entry


def write_atomically(path, text):
    """Write a file so that a reader finds the old one or the new one, whole."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with open(part, "w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
