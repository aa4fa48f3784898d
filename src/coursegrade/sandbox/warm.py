"""The sandbox's warm parent: imports TensorFlow once, forks a room at a time.

Runs inside bubblewrap as ``python -m coursegrade.sandbox.warm FD [--trust]``. On
the socket FD it receives, with each request, two more sockets: one for the room,
one that is asked for the room's CPU time and tells of its end. When the far end of
the second is closed, the room ends with all its processes. Nothing that a room
does may end this process, which all rooms share.
"""

import gc
import os
import secrets
import selectors
import signal
import socket
import stat
import sys
import time
from pathlib import Path

from coursegrade.border import channel
from coursegrade.sandbox import start

IMPORTS = (
    "IPython.core.interactiveshell",
    "keras",
    "matplotlib.pyplot",
    "matplotlib_inline.backend_inline",
    # What IPython shows an error with.
    "stack_data",
    "tensorflow",
)
WATCH_SECONDS = 0.2
ASKED_SECONDS = 5
_TICKS = os.sysconf("SC_CLK_TCK")
_BUFFER = Path("/proc/sys/net/core/wmem_max")
# Most bytes that may wait in a socket; the kernel doubles its setting.
SOCKET_BYTES = 2 * int(_BUFFER.read_bytes() if _BUFFER.exists() else 212_992)


def main(argv):
    """Import, say so, and fork rooms until the grader is gone."""
    control = socket.socket(fileno=int(argv[0]))
    start.preload(*IMPORTS)
    gc.collect()
    gc.freeze()
    channel.send_packet(control, {"ready": True})
    rooms = _Rooms(control, trusted="--trust" in argv)
    while rooms.turn():
        pass


class _Rooms:
    """All rooms of this sandbox, and who asks for more."""

    def __init__(self, control, trusted):
        self.control, self.trusted = control, trusted
        self.selector = selectors.DefaultSelector()
        self.selector.register(control, selectors.EVENT_READ)
        self.by_life = {}
        self.watched = 0.0
        # No two rooms share a user, whose limits and keys they would share, too.
        self.number = secrets.randbelow(2**29)

    def turn(self):
        """Do what there is to do; return False when the grader is gone."""
        wait = WATCH_SECONDS if self.by_life else None
        for key, _ in self.selector.select(wait):
            if key.fileobj is not self.control:
                self._guarded(self.by_life[key.fileobj].answer)
            elif not self._request():
                for room in self.by_life.values():
                    room.end()
                return False
        if time.monotonic() - self.watched > WATCH_SECONDS:
            for room in self.by_life.values():
                self._guarded(room.watch)
            self.watched = time.monotonic()
        for life, room in list(self.by_life.items()):
            if room.over():
                self.selector.unregister(life)
                life.close()
                del self.by_life[life]
        return True

    def _guarded(self, act):
        try:
            act()
        except Exception as error:
            # A room that cannot be watched ends, and the others go on.
            act.__self__.end(f"{type(error).__name__}: {error}"[:200])

    def _request(self):
        try:
            limits, fds = channel.receive_packet(self.control, most=2)
        except channel.ClosedError:
            return False
        talk, life = (socket.socket(fileno=fd) for fd in fds)
        self.number += 1
        try:
            room = _Fork(limits, self.number, talk, life, self)
        except Exception as error:
            _complain(talk, error)
            life.close()
        else:
            self.by_life[life] = room
            self.selector.register(life, selectors.EVENT_READ)
        finally:
            talk.close()
        return True


class _Fork:
    """A room's processes, seen from the warm parent."""

    def __init__(self, limits, number, talk, life, rooms):
        self.life, self.memory_mb = life, limits["memory_mb"]
        self.reason, self.first, self.spent = "", 0, 0.0
        told, tell = os.pipe()
        with os.fdopen(told) as pipe:
            self.outer = os.fork()
            if self.outer == 0:
                status = 1
                try:
                    rooms.control.close()
                    life.close()
                    pipe.close()
                    status = _room(limits, number, talk, tell, rooms.trusted)
                except BaseException as error:
                    _complain(talk, error)
                finally:
                    os._exit(status)
            os.close(tell)
            # The first process of the room: with it, all of them end.
            self.first = int(pipe.readline() or 0)

    def answer(self):
        """Tell the CPU time of all processes so far; end when nobody asks."""
        try:
            channel.receive(self.life, time.monotonic() + ASKED_SECONDS)
        except channel.ClosedError:
            self.end()
        else:
            self._count()
            channel.send(self.life, {"spent": self.spent})

    def end(self, reason=""):
        """End all processes of the room."""
        self.reason = self.reason or reason
        for pid in filter(None, (self.first, self.outer)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def watch(self):
        """End the room when its processes together hold too much memory."""
        if self.first and _memory_mb(self._count()) > self.memory_mb:
            self.end("memory")

    def _count(self):
        """Return the room's processes; sum their CPU time."""
        pids, spent = _processes(self.first) if self.first else ([], 0.0)
        # Less where one has ended that nobody waited for.
        self.spent = max(self.spent, spent)
        return pids

    def over(self):
        """Return whether the room has ended, and tell how."""
        pid, status = os.waitpid(self.outer, os.WNOHANG)
        if pid == 0:
            return False
        # A process that ended in order has waited for the room's first one.
        self.outer = 0
        if status:
            self.end()
        told = {"reason": self.reason, "status": os.waitstatus_to_exitcode(status)}
        try:
            channel.send(self.life, told)
        except OSError:
            pass
        return True


def _room(limits, number, talk, tell, trusted):
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
        user = isolate.unused_user(number)
        isolate.own_files(limits["file_mb"], limits["keep"])
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
        isolate.limit(limits["memory_mb"], limits["processes"], limits["file_mb"])
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
    try:
        channel.send(talk, {"broken": f"{type(error).__name__}: {error}"[:300]})
    except OSError:
        pass


def _processes(first):
    """Return a process and all below it, and the CPU seconds that they have used."""
    children, ticks = {}, {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                # Bytes: a process may have any name.
                data = Path(entry.path, "stat").read_bytes()
            except OSError:
                continue
            fields = data.rpartition(b")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(entry.name))
            # Its own time and that of the children it has waited for.
            ticks[int(entry.name)] = sum(map(int, fields[11:15]))
    found, queue = [], [first]
    while queue:
        found.append(queue.pop())
        queue += children.get(found[-1], [])
    return found, sum(ticks.get(pid, 0) for pid in found) / _TICKS


def _memory_mb(pids):
    """Return the memory of processes, MiB: what only they map, and nobody's files.

    A file without a name is in memory as long as somebody holds it, and nobody
    has to map it; nor what is on its way through a socket.
    """
    nameless = {}
    for pid in pids:
        nameless.update(_nameless(pid))
    private = sum(map(_private_kib, pids))
    return private / 1024 + sum(nameless.values()) / 2**20


def _private_kib(pid):
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_bytes()
    except OSError:
        return 0
    # What two processes share is private to neither: of it the share of each. Memory
    # that could be shared and is not counts twice, which a notebook hardly has.
    mine = (b"Private_Dirty:", b"Private_Clean:", b"Swap:", b"Pss_Shmem:")
    return sum(int(n.split()[1]) for n in rollup.splitlines() if n.startswith(mine))


def _nameless(pid):
    """Return the bytes of the files in memory and sockets that a process holds."""
    found = {}
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return found
    for number in numbers:
        try:
            held = os.stat(f"/proc/{pid}/fd/{number}")
        except OSError:
            continue
        if stat.S_ISREG(held.st_mode) and held.st_nlink == 0:
            found[held.st_dev, held.st_ino] = held.st_blocks * 512
        elif stat.S_ISSOCK(held.st_mode):
            found[held.st_dev, held.st_ino] = SOCKET_BYTES
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
