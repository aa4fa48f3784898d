"""The sandbox's warm parent: imports TensorFlow once, forks a room at a time.

Runs inside bubblewrap as ``python -m coursegrade.sandbox.warm FD [--trust]``. On
the socket FD it receives, with each request, two more sockets: one for the room,
one to tell of its end. When the far end of the second is closed, the room ends
with all its processes.
"""

import gc
import json
import os
import selectors
import signal
import socket
import sys
import time
from pathlib import Path

WATCH_SECONDS = 0.2


def main(argv):
    """Import, say so, and fork rooms until the grader is gone."""
    control = socket.socket(fileno=int(argv[0]))
    trusted = "--trust" in argv
    _imports()
    gc.collect()
    gc.freeze()
    control.sendall(b"warm\n")
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    rooms = {}
    made = 0
    watched = 0.0
    while True:
        for key, _ in selector.select(WATCH_SECONDS if rooms else None):
            if key.fileobj is control:
                data, fds, _, _ = socket.recv_fds(control, 4096, 2)
                if not data:
                    for room in rooms.values():
                        room.end()
                    return
                talk, life = (socket.socket(fileno=fd) for fd in fds)
                made += 1
                request = json.loads(data)
                # Unlike that of any other room that may still be there.
                request["number"] = request["sandbox"] * 64 + made % 64
                room = _Fork(request, talk, life, control, trusted)
                rooms[life] = room
                selector.register(life, selectors.EVENT_READ)
            else:
                rooms[key.fileobj].end()
        if time.monotonic() - watched > WATCH_SECONDS:
            watched = time.monotonic()
            for room in rooms.values():
                room.watch()
        for life, room in list(rooms.items()):
            if room.over():
                selector.unregister(life)
                life.close()
                del rooms[life]


class _Fork:
    """A room's processes, seen from the warm parent."""

    def __init__(self, request, talk, life, control, trusted):
        self.life, self.reason = life, ""
        self.memory_mb = request["memory_mb"]
        told, tell = os.pipe()
        self.outer = os.fork()
        if self.outer == 0:
            status = 1
            try:
                control.close()
                life.close()
                os.close(told)
                status = _room(request, talk, tell, trusted)
            except BaseException as error:
                _complain(talk, error)
            finally:
                os._exit(status)
        talk.close()
        os.close(tell)
        with os.fdopen(told) as pipe:
            # The first process of the room: with it, all of them end.
            self.first = int(pipe.readline() or 0)

    def end(self):
        for pid in filter(None, (self.first, self.outer)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def watch(self):
        """End the room when its processes together hold too much memory."""
        if self.first and _private_mb(self.first) > self.memory_mb:
            self.reason = "memory"
            self.end()

    def over(self):
        pid, status = os.waitpid(self.outer, os.WNOHANG)
        if pid == 0:
            return False
        # A process that ended in order has waited for the room's first one.
        self.outer = 0
        if status:
            self.end()
        told = {"reason": self.reason, "status": os.waitstatus_to_exitcode(status)}
        try:
            self.life.sendall(json.dumps(told).encode())
        except OSError:
            pass
        return True


def _room(request, talk, tell, trusted):
    """Isolate, fork the room, wait for it, and return its exit status."""
    from coursegrade.sandbox import isolate, room

    os.setsid()
    if not trusted:
        isolate.enter_namespaces()
    first = os.fork()
    if first:
        os.write(tell, f"{first}\n".encode())
        os.close(tell)
        talk.close()
        return _status(os.waitpid(first, 0)[1])
    os.close(tell)
    if not trusted:
        user = isolate.unused_user(request["number"])
        isolate.own_files(request["file_mb"], request["keep"])
        home = "/tmp/student"
        os.mkdir(home, 0o777)
        os.chmod(home, 0o777)
        os.chdir(home)
        os.environ["HOME"] = home
    # Process 1 of the namespace only waits: it ignores the signals by which
    # the student's own process can end.
    inner = os.fork()
    if inner:
        talk.close()
        while True:
            pid, status = os.wait()
            if pid == inner:
                os._exit(_status(status))
    _shut(keep=talk.fileno())
    if not trusted:
        isolate.limit(request["memory_mb"], request["processes"], request["file_mb"])
        isolate.drop_rights(user)
    for handled in (signal.SIGTERM, signal.SIGINT):
        signal.signal(handled, signal.default_int_handler)
    room.serve(talk)
    return 0


def _status(status):
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _shut(keep):
    """Close what was inherited but for one socket and the standard streams."""
    os.closerange(3, keep)
    os.closerange(keep + 1, 4096)


def _complain(talk, error):
    from coursegrade.border import channel

    try:
        channel.send(talk, {"broken": f"{type(error).__name__}: {error}"[:300]})
    except OSError:
        pass


def _private_mb(first):
    """Return the memory of a process and all below it, in MiB, shared split."""
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parent = int(stat.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    total, queue = 0, [first]
    while queue:
        pid = queue.pop()
        queue += children.get(pid, [])
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        for line in rollup.splitlines():
            if line.startswith(("Private_Dirty:", "Private_Clean:", "Swap:")):
                total += int(line.split()[1])
    return total / 1024


def _imports():
    os.environ.setdefault("MPLBACKEND", "agg")
    import IPython.core.interactiveshell  # noqa: F401
    import keras  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import matplotlib_inline.backend_inline  # noqa: F401
    import numpy  # noqa: F401
    import tensorflow  # noqa: F401

    import coursekit

    for name in coursekit.__all__:
        getattr(coursekit, name)


if __name__ == "__main__":
    main(sys.argv[1:])
