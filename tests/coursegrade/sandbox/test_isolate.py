"""What a room cannot do, and what two rooms do not share."""

import errno

import pytest

from coursegrade.examiner.talk import Lost, Room
from coursegrade.sandbox import isolate

LIMITS = {"memory_mb": 300, "processes": 64, "file_mb": 64}


@pytest.fixture
def room(box):
    made = Room(lambda: box.room(**LIMITS))
    made.allow(30)
    yield made
    made.close()


def seen(room, expression):
    """Return what an expression is in the room, as text."""
    reply = room.ask("run", source=f"raise ValueError(repr({expression}))")
    return reply["error"].removeprefix("ValueError: ")


LIBC = "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"


def test_no_namespace_can_be_made(room):
    # Not dumpable, a process may not write its id maps; it can change that.
    room.ask("run", source=LIBC + "libc.prctl(4, 1, 0, 0, 0)")
    for flag in (0x10000000, 0x10000000 | 0x20000, 0x20000, 0x40000000, 0x20000000):
        assert seen(room, f"libc.unshare({flag})") == "-1"
    # clone(2) with a user namespace, and back into the one outside.
    fork = "libc.syscall({'x86_64': 56, 'aarch64': 220}[os.uname().machine], 0x10000011"
    assert seen(room, f"{fork}, 0, 0, 0, 0)") == "-1"
    assert seen(room, "libc.setns(os.open('/proc/1/ns/user', 0), 0)") != "0"


def test_calls_that_no_notebook_needs_are_not_there(room):
    if (library := isolate.filters()) is None:
        pytest.skip("libseccomp is not installed")
    resolve = library.seccomp_syscall_resolve_name
    numbers = {name: resolve(name.encode()) for name in isolate.DENIED}
    # Some are another machine's.
    here = {name: number for name, number in numbers.items() if number >= 0}
    assert len(here) > 40
    room.ask("run", source=LIBC)
    numbers = list(here.values())
    called = "(libc.syscall(n, -1, 0, 0, 0, 0), ctypes.get_errno())"
    others = f"[n for n in {numbers} if {called} != (-1, {errno.ENOSYS})]"
    assert seen(room, others) == "[]"


def test_no_socket_leads_past_the_namespaces(room):
    if isolate.filters() is None:
        pytest.skip("libseccomp is not installed")
    tried = "import errno, socket\nseen = []\nfor family in (40, 38, 1, 2):\n"
    tried += "    try:\n        seen.append(socket.socket(family).family.name)\n"
    tried += "    except OSError as error:\n        seen.append(error.errno)"
    room.ask("run", source=tried)
    no = errno.EAFNOSUPPORT
    assert seen(room, "seen") == str([no, no, "AF_UNIX", "AF_INET"])


def test_what_notebooks_do_passes_the_filter(room):
    honest = "import os, subprocess, threading, tempfile, multiprocessing.pool\n"
    honest += "multiprocessing.pool.ThreadPool(2).map(abs, [1, -2])\n"
    honest += "subprocess.run(['true'], check=True); tempfile.mkdtemp()\n"
    honest += "import tensorflow as tf; tf.random.normal((9, 9)) @ tf.ones((9, 9))"
    assert "error" not in room.ask("run", source=honest)


def test_a_room_has_room_for_threads(box):
    """What each reserves for itself is not counted as memory that it needs."""
    many = "import threading\ngo, count = threading.Event(), 0\n"
    many += "def work():\n    x = [bytes(10**5) for _ in range(5)]\n    go.wait()\n"
    many += "for _ in range(50):\n    threading.Thread(target=work).start()\n"
    many += "    count += 1\ngo.set()"
    room = Room(lambda: box.room(**{**LIMITS, "memory_mb": 1024}))
    room.allow(30)
    assert "error" not in room.ask("run", source=many)
    room.close()


def test_no_capability_is_left(room):
    caps = "[l for l in open('/proc/self/status') if l.startswith('Cap') and '1' in l]"
    assert seen(room, caps) == "[]"
    assert seen(room, f"[l for l in {caps} if 'f' in l]") == "[]"


# Each holds more than the room of 100 MB below may, and no process maps it alone.
UNMAPPED = {
    "files without a name": """
for place in ("/tmp", "/dev/shm"):
    held = open(place + "/x", "wb")
    os.unlink(held.name)
    kept = [held, *globals().get("kept", ())]
    for _ in range(58): held.write(bytes(2**20))
    held.flush()
""",
    "the same of children": """
for place in ("/tmp", "/dev/shm"):
    if os.fork() == 0:
        held = open(place + "/x", "wb")
        os.unlink(held.name)
        for _ in range(58): held.write(bytes(2**20))
        held.flush()
        time.sleep(20)
""",
    "memory that two share": """
os.fork()  # twice: a process may not map that much alone
shared = mmap.mmap(-1, 75 * 2**20)
turn, other = socket.socketpair()
if os.fork() == 0: turn, other = other, turn
for start in range(0, len(shared), 2**20):
    for page in range(start, start + 2**20, 4096): shared[page] = 1
    turn.send(b"x"), turn.recv(1)
""",
    "what waits in sockets": """
held = []
try:
    while True:
        held += socket.socketpair()
        held[-1].setblocking(False)
        held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**24)
        try:
            while True: held[-1].send(bytes(2**16))
        except BlockingIOError: pass
except OSError: pass
""",
}


@pytest.mark.parametrize("source", UNMAPPED.values(), ids=UNMAPPED)
def test_memory_that_no_process_maps_counts(box, source):
    room = Room(lambda: box.room(**{**LIMITS, "memory_mb": 100}))
    room.allow(30)
    with pytest.raises(Lost) as caught:
        room.ask("run", source=f"import mmap, os, socket, time{source}time.sleep(20)")
    assert caught.value.status == "memory"


def test_files_are_few_in_a_room(room):
    for place in ("/tmp", "/dev/shm"):
        few = f"__import__('os').statvfs({place!r}).f_files"
        assert seen(room, few) == str(isolate.MOST_FILES)


def test_nothing_of_system_v(room):
    """Neither by the filter nor, where there is none, by the namespace's limits."""
    room.ask("run", source=LIBC)
    for call in (
        "shmget(0, 4096, 0o1600)",
        "semget(0, 9, 0o1600)",
        "msgget(0, 0o1600)",
    ):
        assert seen(room, f"libc.{call}") == "-1"
    limits = "[open(f'/proc/sys/kernel/{n}').read().split() for n in {}]"
    limits = limits.replace("{}", "('shmmni', 'msgmni', 'sem')")
    assert set(seen(room, limits)) <= set("[]'0, ")


def test_rooms_share_no_user_terminals_or_keys(box):
    users, keys = set(), []
    add = {"x86_64": 248, "aarch64": 217}
    rooms = []
    for _ in range(3):
        room = Room(lambda: box.room(**LIMITS))
        room.allow(30)
        rooms.append(room)
        room.ask("run", source=LIBC + f"add = {add}.get(os.uname().machine)")
        users.add(seen(room, "os.getuid()"))
        # A terminal that stays open, and a key in each keyring that is there.
        room.ask("run", source="import pty\nheld = pty.openpty()")
        assert seen(room, "sorted(os.listdir('/dev/pts'))") == "['0', 'ptmx']"
        for ring in (-3, -4, -5):
            find = f"libc.syscall(add + 2, 10, {ring}, b'user', b'note', 0)"
            keys.append(seen(room, find))
        for ring in (-3, -4, -5):
            put = f"libc.syscall(add, b'user', b'note', b'77', 2, {ring})"
            room.ask("run", source=put)
        # A key that is there is found, where there are keys at all.
        assert (seen(room, find) != "-1") == (isolate.filters() is None)
    assert len(users) == 3 and set(keys) == {"-1"}
    for room in rooms:
        room.close()


def test_a_name_that_is_no_text_harms_nobody(box):
    name = LIBC + "libc.prctl(15, b'\\xff\\xfe)  ( 1 2')\n"
    odd, other = (Room(lambda: box.room(**LIMITS)) for _ in range(2))
    for room in (odd, other):
        room.allow(30)
    odd.ask("run", source=name + "import time; time.sleep(1)")
    assert odd.used() < 5 and seen(other, "1") == "1" and not box.gone(0)
    odd.close()
    other.close()
