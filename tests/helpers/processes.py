"""What runs on this machine, read from /proc."""

from pathlib import Path


def running(words):
    """Return the processes whose command line has some words, by id."""
    found = {}
    for path in filter(lambda path: path.name.isdigit(), Path("/proc").iterdir()):
        try:
            command = (path / "cmdline").read_bytes()
        except OSError:
            continue
        if words.encode() in command:
            found[int(path.name)] = command
    return found


def parents(pid):
    """Return the ids of a process's parent, of that one's, and so on."""
    found = []
    while pid > 1:
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            break
        pid = int(stat.rpartition(b")")[2].split()[1])
        found.append(pid)
    return found
