"""Inside the sandbox: run a submission's cells, then answer questions.

Whatever happens in this process is the submission's business: its code may
change any of this. It can gain nothing by that, since all that leaves is values,
in answer to questions that did not exist while its cells ran.
"""

import contextlib
import os
import sys

from coursegrade.border import channel, wire


class Room:
    """One submission's interpreter, and the names that stood in it when asked to."""

    def __init__(self):
        from IPython.core.interactiveshell import InteractiveShell

        class Shell(InteractiveShell):
            """A shell without a screen, for `%matplotlib inline`."""

            def enable_gui(self, gui=None):
                """Do nothing: there is no window to watch."""

        self.shell = Shell.instance(colors="NoColor")
        self.kept, self.worlds, self.entered = {}, {}, None

    def run(self, source):
        """Run one cell, with IPython's magics; return what went wrong, if so."""
        result = self.shell.run_cell(source, store_history=False, silent=True)
        error = result.error_before_exec or result.error_in_exec
        return {} if error is None else _failure(error)

    def keep(self, task):
        """Remember the names as they are now, under a label."""
        self.kept[task] = dict(self.shell.user_ns)
        return {}

    def get(self, task, name):
        """Return a kept name's value, or that it is to be called."""
        if name not in self.kept.get(task, ()):
            return {"missing": True}
        value = self.kept[task][name]
        with contextlib.suppress(wire.WireError):
            return {"value": wire.encode(value)}
        if callable(value):
            return {"callable": True}
        return {"refused": True}

    def call(self, task, name, args, kwargs):
        """Call a kept function with bare data."""
        args, kwargs = wire.decode(args), wire.decode(kwargs)
        self._enter(task)
        try:
            value = self.kept[task][name](*args, **kwargs)
        except BaseException as error:
            return _failure(error)
        try:
            return {"value": wire.encode(value)}
        except wire.WireError:
            return {"refused": True}

    def _enter(self, task):
        """Give the notebook's names the values that they had when they were kept.

        A function looks its names up when it is called. Those that were not there
        yet have the value that the last cell left: the notebook was run in
        another order, in which they were.
        """
        names = self.shell.user_ns
        if self.entered is None:
            self.worlds = {key: {**names, **kept} for key, kept in self.kept.items()}
        elif self.entered != task:
            self.worlds[self.entered] = dict(names)
        if self.entered != task:
            self.entered = task
            names.clear()
            names.update(self.worlds[task])


def _failure(error):
    name = type(error).__name__
    return {
        "error": f"{name}: {error}"[:500],
        "kind": name,
        "memory": isinstance(error, MemoryError),
    }


def serve(sock):
    """Answer questions until the grader hangs up."""
    quiet = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(quiet, number)
    sys.stdin = open(os.devnull)
    room, own = Room(), os.getpid()
    channel.send(sock, {"ready": True})
    while True:
        question = channel.receive(sock)
        nonce, do = question.pop("nonce"), question.pop("do")
        try:
            reply = getattr(room, do)(**question)
        except BaseException as error:
            reply = _failure(error)
        if os.getpid() != own:
            # The code forked, and this copy came back as well: one answers.
            os._exit(0)
        try:
            channel.send(sock, {**reply, "nonce": nonce})
        except ValueError:
            # Too much for a message, or a number of more digits than JSON writes.
            channel.send(sock, {"refused": True, "nonce": nonce})
