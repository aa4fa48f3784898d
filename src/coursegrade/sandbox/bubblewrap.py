"""Start the sandbox's warm parent under bubblewrap, and say when that fails."""

import os
import select
import shutil
import site
import socket
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from coursegrade.border import channel
from coursegrade.sandbox import start

START_SECONDS = 180
_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc/alternatives")
_SETTINGS = (
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/fonts",
)


class SandboxError(RuntimeError):
    """There is no sandbox; the message says why and what to install."""


def why_not():
    """Return why no sandbox can be had here, or an empty text."""
    if not sys.platform.startswith("linux"):
        return (
            "the sandbox needs Linux: grade on a Linux machine, in a virtual "
            "machine, or in a container that allows namespaces"
        )
    if shutil.which("bwrap") is None:
        return "bubblewrap is missing: install it with `apt install bubblewrap`"
    trial = subprocess.run(
        [*_bubblewrap(), "/usr/bin/true"], capture_output=True, text=True, check=False
    )
    if trial.returncode == 0:
        return ""
    said = trial.stderr.strip().splitlines()[-1:] or ["it gave no reason"]
    return (
        f"bubblewrap cannot make a sandbox here ({said[0]}). Where namespaces are "
        "forbidden to users, allow them: on Ubuntu 24.04 "
        "`sysctl kernel.apparmor_restrict_unprivileged_userns=0`; in a container, "
        "its own setting"
    )


class Sandbox:
    """A warm parent from which one room after the other is forked.

    Parameters
    ----------
    trust : bool
        Run without bubblewrap and without limits, for work you would run in
        your own shell.
    """

    def __init__(self, trust=False):
        self.trust = trust
        if not trust and (reason := why_not()):
            raise SandboxError(reason)
        # Several processes may ask it for rooms: each request is a packet.
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [
            sys.executable,
            # hand-ins may lie in the current folder
            "-P",
            "-m",
            "coursegrade.sandbox.warm",
            str(there.fileno()),
        ]
        command = [*command, "--trust"] if trust else [*_bubblewrap(), *command]
        self.process = subprocess.Popen(
            command,
            # Each thread would take 128 MB of what a room may map, and use none of it.
            env=start.environment(inside=not trust) | {"MALLOC_ARENA_MAX": "2"},
            pass_fds=[there.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE
            if os.environ.get("COURSEKIT_DEBUG") is None
            else None,
        )
        there.close()
        self.control = here

    def wait(self):
        """Wait until rooms can be had; starting takes some seconds.

        Raises
        ------
        SandboxError
            If the warm parent did not start, with its last words.
        """
        try:
            channel.receive_packet(
                self.control, deadline=time.monotonic() + START_SECONDS
            )
        except (OSError, channel.ClosedError):
            self.close()
            error = self.process.stderr.read() if self.process.stderr else b""
            last = error.decode(errors="replace").strip().splitlines()[-1:] or ["?"]
            raise SandboxError(f"the sandbox did not start: {last[0]}") from None

    def room(self, **limits):
        """Fork a room; return the socket to it and the one that tells its end.

        Parameters
        ----------
        memory_mb, processes, file_mb : int
            Its limits: MiB beyond the imports, processes and threads, MiB of
            one file and of each temporary folder.
        """
        limits["keep"] = [] if self.trust else _python_folders()
        talk, its_talk = socket.socketpair()
        life, its_life = socket.socketpair()
        with its_talk, its_life:
            try:
                fds = [its_talk.fileno(), its_life.fileno()]
                channel.send_packet(self.control, limits, fds)
            except OSError:
                raise SandboxError("the sandbox has ended") from None
        return talk, life

    def gone(self, seconds=2.0):
        """Return whether the warm parent has ended or ends now, with all rooms."""
        return select.select([self.control], [], [], seconds)[0] != []

    def close(self):
        """End the warm parent and all that it started."""
        self.control.close()
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _bubblewrap():
    """Return the command that makes the sandbox, up to what runs in it."""
    command = ["bwrap", "--die-with-parent", "--new-session", "--unshare-pid"]
    command += ["--unshare-net", "--unshare-ipc", "--unshare-uts"]
    if os.geteuid() == 0:
        # Just what the warm parent needs to lock rooms away and to end them.
        command += ["--cap-drop", "ALL"]
        for name in ("SYS_ADMIN", "SETUID", "SETGID", "SETPCAP", "KILL", "SYS_PTRACE"):
            command += ["--cap-add", f"CAP_{name}"]
    else:
        command += ["--unshare-user"]
    for place in _SYSTEM:
        path = Path(place)
        if path.is_symlink():
            command += ["--symlink", os.readlink(path), place]
        elif path.exists():
            command += ["--ro-bind", place, place]
    for place in _SETTINGS:
        command += ["--ro-bind-try", place, place]
    command += ["--proc", "/proc", "--dev", "/dev"]
    for place in ("/tmp", "/dev/shm"):
        command += ["--perms", "1777", "--tmpfs", place]
    for place in _python_folders():
        # Above a private home, folders would be made that only root can enter.
        for parent in reversed(Path(place).parents[:-1]):
            if str(parent) not in ("/tmp", "/dev", "/dev/shm"):
                command += ["--perms", "0755", "--dir", str(parent)]
        command += ["--ro-bind", place, place]
    # What one room writes there, the next one would read.
    command += ["--remount-ro", "/dev", "--remount-ro", "/"]
    return [*command, "--chdir", "/tmp", "--"]


def shows(path):
    """Tell whether what lies at a path can be read in every room."""
    path = Path(path).resolve()
    places = [Path(place).resolve() for place in (*_SYSTEM, *_python_folders())]
    return any(path.is_relative_to(place) for place in places)


def _python_folders():
    """Return the folders that Python and the packages are in."""
    folders = {sys.prefix, sys.base_prefix}
    folders |= {str(one) for one in start.PACKAGES}
    folders |= {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    own = site.getusersitepackages()
    if site.ENABLE_USER_SITE and os.path.isdir(own):
        # what `pip install --user` has installed
        folders.add(own)
    resolved = {str(Path(folder).absolute()) for folder in folders}
    resolved -= {"/usr", "/usr/local"}
    inside = {
        one for one in resolved for other in resolved if one.startswith(other + "/")
    }
    return sorted(
        folder for folder in resolved - inside if not folder.startswith("/usr/")
    )
