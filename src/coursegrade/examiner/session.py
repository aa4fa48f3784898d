"""The grader's side of a room: run the steps, ask for values, go on after a death.

Once a question was asked, the room knows a hidden input, and each word that it sends
could carry one out to the student's feedback: a type's name, an error's kind, an exit
status. From then on, all messages are the grader's own.
"""

import builtins
import secrets
import time

from coursegrade.border import channel, wire
from coursegrade.sandbox.bubblewrap import reason_of_end
from coursegrade.statuses import Status

START_SECONDS = 30
KEEP_SECONDS = 10
GRADED = (
    "it takes numbers, texts, lists, arrays of numbers, and Keras's own layers and "
    "models (Sequential or functional, without Lambda)"
)
ERRORS = {
    name
    for name, made in vars(builtins).items()
    if isinstance(made, type) and issubclass(made, BaseException)
}


class RoomError(Exception):
    """A room could not do what it was asked; ``status`` is a grade's status."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status, self.message = Status(status), message


class Failed(RoomError):
    """The submission's code raised, or gave what cannot be graded; it lives on."""


class Lost(RoomError):
    """The room is gone: too slow, too large, ended by itself, or not to be trusted."""


class Session:
    """A submission in its room.

    Parameters
    ----------
    launch : callable
        Returns a new room's two sockets, as ``Sandbox.room`` does.
    steps : list of Step
        What to run, in order.
    seconds : dict of str to float
        The time for a cell of each task; under ``""`` the time that all cells
        of no task have together.
    """

    def __init__(self, launch, steps, seconds):
        self.launch, self.steps, self.seconds = launch, steps, seconds
        self.talk = self.life = None
        # Steps that lost a room, with how: they are not run again.
        self.bad = {}
        self.problems, self.spent = {}, {}

    def run(self):
        """Run all steps; one that loses the room is left out, and all go again."""
        while True:
            # Each pass ends, or leaves one more step out.
            try:
                self._start()
                self._pass()
                return
            except Lost:
                self.close()

    def ensure(self):
        """Have a room in which all the steps were run."""
        if self.talk is None:
            self.run()

    def get(self, task, name, deadline):
        """Return a name as the task's cells left it.

        Returns
        -------
        tuple
            ``(True, value)``, or ``(False, None)`` for something to call.
        """
        reply = self._ask(deadline, do="get", task=task, name=name)
        if reply.get("missing"):
            problem = self.problems.get(task)
            if problem:
                raise Failed(problem.status, problem.message)
            raise Failed(Status.MISSING, f"the name `{name}` is not defined")
        if reply.get("callable"):
            return False, None
        return True, self._value(reply, f"`{name}`")

    def call(self, task, name, args, kwargs, deadline):
        """Return what a function of the submission gives for bare data."""
        question = {"task": task, "name": name, "args": wire.encode(list(args))}
        question["kwargs"] = wire.encode(dict(kwargs))
        reply = self._ask(deadline, do="call", **question)
        if "error" in reply:
            # One of a fixed list, checked here: the room's own check may be patched.
            kind = str(reply.get("kind"))
            if kind not in ERRORS:
                kind = "an error of its own"
            if reply.get("memory"):
                said = f"`{name}` needed more memory than there is"
                raise Failed(Status.MEMORY, said)
            said = f"`{name}` raised {kind} when the test called it"
            raise Failed(Status.ERROR, said)
        return self._value(reply, f"what `{name}` returned")

    def close(self):
        """End the room, with all processes in it."""
        for sock in (self.talk, self.life):
            if sock is not None:
                sock.close()
        self.talk = self.life = None

    def _start(self):
        self.talk, self.life = self.launch()
        try:
            said = channel.receive(self.talk, time.monotonic() + START_SECONDS)
        except (TimeoutError, channel.ClosedError, channel.BrokenError) as error:
            said = {"broken": type(error).__name__}
        if "ready" not in said:
            # Not the submission's fault: no grade may follow from it.
            raise RuntimeError(f"the sandbox made no room: {said.get('broken')}")

    def _pass(self):
        """Run the steps that lost no room so far; raise Lost where one does."""
        free = self.seconds[""]
        self.problems, self.spent = {}, {}
        latest = None
        for index, step in enumerate(self.steps):
            if index in self.bad:
                self._blame(step.task, *self.bad[index])
                continue
            seconds = self.seconds[step.task] if step.task else free
            try:
                if step.do == "keep":
                    self._ask(
                        time.monotonic() + KEEP_SECONDS, do="keep", task=step.task
                    )
                    continue
                latest = index
                start = time.monotonic()
                reply = self._ask(start + seconds, do="run", source=step.source)
            except Lost as lost:
                # What is lost between cells was lost by the one that ran last,
                # by a thread that it left behind, say.
                if latest is None:
                    raise RuntimeError(f"an empty room was lost: {lost}") from None
                self.bad[latest] = (lost.status, lost.message)
                raise
            used = time.monotonic() - start
            self.spent[step.task] = self.spent.get(step.task, 0) + used
            if not step.task:
                free = max(0.0, free - used)
            if "error" in reply:
                status = Status.MEMORY if reply.get("memory") else Status.ERROR
                self._blame(step.task, status, f"the cell raised {_text(reply)}")

    def _blame(self, task, status, message):
        self.problems.setdefault(task, RoomError(status, message))

    def _ask(self, deadline, *, do, **question):
        nonce = secrets.token_hex(16)
        try:
            # A room that reads nothing must not hold the grader up.
            self.talk.settimeout(max(0.01, deadline - time.monotonic()))
            channel.send(self.talk, {"nonce": nonce, "do": do, **question})
            reply = channel.receive(self.talk, deadline)
        except TimeoutError:
            self.close()
            raise Lost(Status.TIMEOUT, "it took longer than the time allowed") from None
        except (channel.ClosedError, OSError):
            raise self._death(told=do == "run") from None
        except channel.BrokenError as error:
            self.close()
            raise Lost(Status.ERROR, f"the sandbox sent {error}") from None
        if not isinstance(reply, dict) or reply.get("nonce") != nonce:
            # Somebody wrote an answer before there was a question.
            self.close()
            raise Lost(Status.ERROR, "the code wrote into the grader's channel")
        return reply

    def _death(self, told):
        """Return how the room ended, with its exit status if that may be told."""
        end = reason_of_end(self.life)
        self.close()
        if end.get("reason") == "memory":
            return Lost(Status.MEMORY, "it needed more memory than is allowed")
        how = f" (exit status {end['status']})" if told and "status" in end else ""
        return Lost(Status.DIED, f"the code ended its own process{how}")

    def _value(self, reply, what):
        try:
            if "refused" in reply:
                raise wire.WireError
            return wire.decode(reply.get("value"))
        except wire.WireError:
            raise Failed(Status.WRONG, f"{what} cannot be graded; {GRADED}") from None


def _text(reply):
    return _plain(reply["error"])


def _plain(text):
    """Return a stranger's text on one line, without control characters."""
    shown = "".join(c if c.isprintable() else " " for c in str(text)[:300])
    return " ".join(shown.split())
