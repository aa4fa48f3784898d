"""Lock the calling process away: own namespaces, no rights, hard limits.

Linux only, through the system calls themselves: Python 3.11 has no
``os.unshare``. Runs in the sandbox's warm parent, after a fork, so that
TensorFlow's import is paid once and each submission still has a room of its own.
"""

import contextlib
import ctypes
import errno
import os
import resource

# linux/sched.h, sys/mount.h, linux/prctl.h
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 4, 24, 38
# keyctl(2) has no wrapper in libc, and a number of its own on each machine.
KEYCTL, KEYCTL_JOIN_SESSION_KEYRING = {"x86_64": 250, "aarch64": 219}, 1
LAST_CAPABILITY = 63
FIRST_USER = 2_000
MOST_FILES = 50_000
# seccomp.h: SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(ENOSYS), what to do for a foreign
# architecture, a name that this machine does not have.
ALLOW, NO_SUCH_CALL = 0x7FFF0000, 0x00050000 | errno.ENOSYS
BAD_ARCHITECTURE, NO_NUMBER = 2, -1
#: System calls that no notebook needs and that have led into kernels, or around limits:
#: those that Docker's default profile keeps for privileged containers, io_uring, and
#: what is named below.
DENIED = (
    *("io_uring_setup", "io_uring_enter", "io_uring_register"),
    *("add_key", "keyctl", "request_key"),
    # Memory that no process maps; a file of it can hang in a socket, held by nobody.
    *("memfd_create", "memfd_secret", "shmget", "semget", "msgget", "mq_open"),
    *("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp"),
    *("mount", "umount2", "pivot_root", "chroot", "unshare", "setns"),
    *("open_tree", "move_mount", "mount_setattr", "fsopen", "fsconfig", "fsmount"),
    *("fspick", "name_to_handle_at", "open_by_handle_at", "lookup_dcookie"),
    *("bpf", "perf_event_open", "userfaultfd", "fanotify_init", "syslog", "acct"),
    *("init_module", "finit_module", "delete_module", "kexec_load"),
    *("kexec_file_load", "swapon", "swapoff", "reboot", "quotactl", "vmsplice"),
    *("iopl", "ioperm", "modify_ldt", "vm86", "vm86old", "settimeofday"),
)

#: Families of sockets that no namespace holds: of a virtual machine to its host, and of
#: the kernel's ciphers.
FAMILIES = (40, 38)
NO_FAMILY, EQUAL = 0x00050000 | errno.EAFNOSUPPORT, 4

_libc = ctypes.CDLL(None, use_errno=True)


class _Argument(ctypes.Structure):
    """seccomp.h: scmp_arg_cmp, what an argument of a call is compared with."""

    _fields_ = (
        ("number", ctypes.c_uint),
        ("how", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("other", ctypes.c_uint64),
    )


def enter_namespaces():
    """Give the next child namespaces of its own; returns nothing.

    Without root's rights a user namespace comes first, in which the process may
    do the rest.
    """
    root = os.geteuid() == 0
    uid, gid = os.geteuid(), os.getegid()
    flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET
    _call("unshare", _libc.unshare(flags | (0 if root else CLONE_NEWUSER)))
    if not root:
        _map_user(uid, gid)


def own_files(size_mb, keep=()):
    """Mount an empty /tmp and /dev/shm, and a /proc of the own processes.

    Parameters
    ----------
    size_mb : int
        What each can hold, MiB.
    keep : iterable of str
        Folders that stay where they are: Python's own may lie in /tmp.
    """
    _mount(None, "/", None, MS_REC | MS_PRIVATE)
    flags = MS_NOSUID | MS_NODEV
    for place in ("/tmp", "/dev/shm"):
        kept = {
            path: os.open(path, os.O_PATH)
            for path in keep
            if path.startswith(place + "/")
        }
        # An empty file takes memory, too.
        most = f"size={size_mb}m,nr_inodes={MOST_FILES}"
        _mount("tmpfs", place, "tmpfs", flags, f"{most},mode=1777")
        for path, folder in kept.items():
            os.makedirs(path)
            # Under the new mount, the old one can only be named by its number.
            _mount(f"/proc/self/fd/{folder}", path, None, MS_BIND | MS_REC)
            os.close(folder)
    with contextlib.suppress(OSError):
        # Terminals of its own: by shared ones, rooms would see one another.
        options = "newinstance,ptmxmode=0666"
        _mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, options)
    try:
        _mount("proc", "/proc", "proc", flags | MS_NOEXEC)
    except OSError:
        # Where a container hides parts of /proc, none is better than its own.
        _mount("tmpfs", "/proc", "tmpfs", flags | MS_NOEXEC, "size=4k,mode=0555")
    # Memory of System V that no process maps would not be counted.
    for name, most in (("shmmni", "0"), ("msgmni", "0"), ("sem", "0 0 0 0")):
        _write(f"/proc/sys/kernel/{name}", most)


def unused_user(number):
    """Return a user id that owns nothing, another one for each number.

    The limit of processes holds for a user, so two rooms must not share one; and
    it does not hold for root at all.
    """
    with open("/proc/self/uid_map") as file:
        users = sum(int(line.split()[2]) for line in file)
    return FIRST_USER + number % max(1, min(users, 2**30) - 2 * FIRST_USER)


def drop_rights(user):
    """Give up every capability, and root where we had it, for good.

    Nobody gets them back in a user namespace of his own: none can be made.
    """
    # Of its own, not the one that all rooms would inherit.
    if (number := KEYCTL.get(os.uname().machine)) is not None:
        _libc.syscall(number, KEYCTL_JOIN_SESSION_KEYRING, None)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        # How many there may be is a setting of the namespace that one is in.
        if _libc.unshare(CLONE_NEWUSER) == 0:
            _libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
            _map_user(user, user)
            _libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    _write("/proc/sys/user/max_user_namespaces", "0")
    _clear_capabilities()
    _call("prctl", _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    filter_calls()


def filters():
    """Return libseccomp, which makes filters of system calls, or None.

    It is a package of its own on some systems; bubblewrap does not need it.
    """
    try:
        made = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return None
    made.seccomp_init.restype = ctypes.c_void_p
    made.seccomp_init.argtypes = [ctypes.c_uint32]
    context = ctypes.c_void_p
    made.seccomp_attr_set.argtypes = [context, ctypes.c_int, ctypes.c_uint32]
    made.seccomp_rule_add.argtypes = [context, ctypes.c_uint32, *[ctypes.c_int] * 2]
    made.seccomp_rule_add_array.argtypes = [
        *(context, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint),
        ctypes.POINTER(_Argument),
    ]
    made.seccomp_load.argtypes = [context]
    return made


def filter_calls():
    """Have the kernel answer that it has none of the ``DENIED`` system calls.

    Nor a socket of one of the ``FAMILIES``. It holds for this process and all that it
    starts, for good. Without libseccomp nothing is filtered: who starts the sandbox
    says so.
    """
    library = filters()
    if library is None:
        return
    made = library.seccomp_init(ALLOW)
    # Calls of another architecture have other numbers.
    done = library.seccomp_attr_set(made, BAD_ARCHITECTURE, NO_SUCH_CALL)
    for name in DENIED:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number != NO_NUMBER:
            done = done or library.seccomp_rule_add(made, NO_SUCH_CALL, number, 0)
    number = library.seccomp_syscall_resolve_name(b"socket")
    for family in FAMILIES:
        first = ctypes.byref(_Argument(0, EQUAL, family, 0))
        done = done or library.seccomp_rule_add_array(made, NO_FAMILY, number, 1, first)
    done = done or library.seccomp_load(made)
    if done:
        raise OSError(-done, f"seccomp: {os.strerror(-done)}")


def limit(memory_mb, processes, file_mb):
    """Set hard limits: memory beyond the present, processes, size of a file."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    memory = pages * os.sysconf("SC_PAGE_SIZE") + memory_mb * 2**20
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_NPROC, processes),
        (resource.RLIMIT_FSIZE, file_mb * 2**20),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def _map_user(uid, gid):
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _write(path, text):
    """Write a setting of the kernel, where we may."""
    with contextlib.suppress(OSError), open(path, "w") as file:
        file.write(text)


def _clear_capabilities():
    for capability in range(LAST_CAPABILITY + 1):
        _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    # capset(2), version 3: two words each of effective, permitted, inheritable.
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _call("capset", _libc.capset(header, (ctypes.c_uint32 * 6)()))


def _mount(source, target, kind, flags, options=None):
    coded = [None if text is None else text.encode() for text in (source, target, kind)]
    data = None if options is None else options.encode()
    _call(f"mount {target}", _libc.mount(*coded, ctypes.c_ulong(flags), data))


def _call(what, result):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
