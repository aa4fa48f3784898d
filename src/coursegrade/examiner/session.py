"""The grader's side of a room: run the steps, ask for values, go on after a death.

Once a question was asked, the room knows a hidden input, and each word that it sends
could carry one out to the student's feedback: a type's name, an error's kind, an exit
status. From then on, all messages are the grader's own.
"""

import builtins
import secrets
import select
import time

from coursegrade.border import channel, wire
from coursegrade.examiner.notebook import below
from coursegrade.statuses import Status

START_SECONDS = 60
# What the warm parent takes to answer, on the busiest of machines.
WARM_SECONDS = 60
KEEP_SECONDS = 10
# Others may use the cores meanwhile: so much longer may it take by the clock.
BUSY = 10
# Cells of no task that came after one that was too slow have so much, at least.
LEAST_SECONDS = 5
MOST_LOST = 12
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


class GoneError(RuntimeError):
    """The sandbox itself is gone, or does not work: no grade may follow from it."""


class Room:
    """One room's two sockets, and the CPU time that it may use.

    Parameters
    ----------
    launch : callable
        Returns a new room's two sockets, as ``Sandbox.room`` does.
    """

    def __init__(self, launch):
        self.talk, self.life = launch()
        self.born, self.end = time.monotonic(), None
        self.seconds = self.idle = KEEP_SECONDS
        self.spent_before = self.used_before = 0.0
        try:
            said = channel.receive(self.talk, self.born + START_SECONDS)
        except (TimeoutError, channel.ClosedError, channel.BrokenError) as error:
            said = {"broken": type(error).__name__}
        if "ready" not in said:
            self.close()
            raise GoneError(f"the sandbox made no room: {said.get('broken')}")

    def spent(self):
        """Return the CPU seconds that the room's processes have used so far.

        Raises
        ------
        channel.ClosedError
            If the room has ended; ``end`` then says how.
        """
        try:
            channel.send(self.life, {})
        except OSError:
            pass
        said = self._told()
        if "spent" not in said:
            self.end = said
            raise channel.ClosedError
        return said["spent"]

    def allow(self, seconds, used=0.0, idle=None):
        """Allow so much CPU time from now on, of which some is used already.

        ``idle`` is how long a question may rest without any, in seconds.
        """
        self.seconds, self.used_before = seconds, used
        self.idle = seconds if idle is None else idle
        try:
            self.spent_before = self.spent()
        except channel.ClosedError:
            raise self.death(told=False) from None

    def used(self):
        """Return the CPU time that is used of what is allowed now."""
        return self.used_before + self.spent() - self.spent_before

    def ask(self, do, **question):
        """Return the reply to a question; raise Lost when there is none."""
        nonce = secrets.token_hex(16)
        deadline = time.monotonic() + BUSY * self.seconds + WARM_SECONDS
        try:
            # A room that reads nothing must not hold the grader up.
            self.talk.settimeout(max(0.01, deadline - time.monotonic()))
            channel.send(self.talk, {"nonce": nonce, "do": do, **question})
            reply = channel.receive(self.talk, deadline, self._look())
        except TimeoutError:
            self.close()
            raise Lost(Status.TIMEOUT, "it took longer than the time allowed") from None
        except (channel.ClosedError, OSError):
            raise self.death(told=do == "run") from None
        except channel.BrokenError as error:
            self.close()
            raise Lost(Status.ERROR, f"the sandbox sent {error}") from None
        if not isinstance(reply, dict) or reply.get("nonce") != nonce:
            # Somebody wrote an answer before there was a question.
            self.close()
            raise Lost(Status.ERROR, "the code wrote into the grader's channel")
        return reply

    def lives(self, until):
        """Return whether the room still lives at a time, which is waited for."""
        wait = max(0.0, until - time.monotonic())
        return not select.select([self.talk, self.life], [], [], wait)[0]

    def death(self, told):
        """Return how the room ended, with its exit status if that may be told."""
        end = self._told() if self.end is None else self.end
        self.close()
        if end.get("reason") == "memory":
            return Lost(Status.MEMORY, "it needed more memory than is allowed")
        if end.get("reason"):
            raise GoneError(f"the room could not be watched: {end['reason']}")
        how = f" (exit status {end['status']})" if told and "status" in end else ""
        return Lost(Status.DIED, f"the code ended its own process{how}")

    def close(self):
        """End the room, with all processes in it."""
        self.talk.close()
        self.life.close()

    def _look(self):
        """Return what looks whether the time is up while a reply is awaited.

        It is up when the room has used it, or sleeps for so long. A room that
        waits for a core does neither; the deadline is for one that dozes.
        """
        spent, moved = None, time.monotonic()

        def look():
            nonlocal spent, moved
            now, used = time.monotonic(), self.used()
            if used != spent:
                spent, moved = used, now
            if used > self.seconds or now - moved > self.idle:
                raise TimeoutError

        return look

    def _told(self):
        try:
            return channel.receive(self.life, time.monotonic() + WARM_SECONDS)
        except (OSError, channel.ClosedError):
            raise GoneError("the sandbox has ended") from None


class Session:
    """A submission in its room, or in the next one where that is lost.

    Parameters
    ----------
    launch : callable
        As :class:`Room` takes it.
    steps : list of Step
        What to run, in order.
    seconds : dict of str to float
        The CPU time for a cell of each task; under ``""`` the time that all
        cells of no task have together.
    search : bool
        When the code has ended its process, find out which step did, since a
        thread may outlive its cell.
    """

    def __init__(self, launch, steps, seconds, search=False):
        self.launch, self.steps, self.seconds = launch, steps, seconds
        self.search, self.room = search, None
        # Whether the room knows what none of its words may carry out.
        self.quiet = True
        self.free = seconds[""]
        # Steps that lost a room, with how: they are not run again.
        self.bad = {}
        self.problems, self.spent = {}, {}

    def run(self):
        """Run all steps; one that loses the room is left out, and all go again."""
        while self.room is None:
            # Each pass ends, or leaves one more step out.
            try:
                self.room = Room(self.launch)
                self._pass()
            except Lost:
                self.close()

    def ensure(self, task):
        """Have a room in which all steps were run, for the test of a task."""
        self.run()
        self.room.allow(self.seconds[task])

    def get(self, task, name):
        """Return a name as the task's cells left it.

        Returns
        -------
        tuple
            ``(True, value)``, or ``(False, None)`` for something to call.
        """
        reply = self._ask("get", task=task, name=name)
        if reply.get("missing"):
            problem = self.problems.get(task)
            if problem:
                raise Failed(problem.status, problem.message)
            said = f"the name `{name}` is not defined{self._below(task, name)}"
            raise Failed(Status.MISSING, said)
        if reply.get("callable"):
            return False, None
        return True, self._value(reply, f"`{name}`")

    def call(self, task, name, args, kwargs):
        """Return what a function of the submission gives for bare data."""
        question = {"task": task, "name": name, "args": wire.encode(list(args))}
        question["kwargs"] = wire.encode(dict(kwargs))
        reply = self._ask("call", **question)
        if "error" in reply:
            # One of a fixed list, checked here: the room's own check may be patched.
            kind = reply.get("kind")
            if self.quiet or not isinstance(kind, str) or kind not in ERRORS:
                kind = "an error"
            if reply.get("memory"):
                said = f"`{name}` needed more memory than there is"
                raise Failed(Status.MEMORY, said)
            said = f"`{name}` raised {kind} when the test called it"
            if kind == "NotImplementedError":
                said += self._below(task, name)
            raise Failed(Status.ERROR, said)
        return self._value(reply, f"what `{name}` returned")

    def close(self):
        """End the room."""
        if self.room is not None:
            self.room.close()
        self.room = None

    def innocent(self):
        """Return whether the code ended its process by what an earlier step left.

        To be asked when a room was lost while a test ran. That step is left out
        from then on.
        """
        run = [i for i in self._runnable() if i not in self.bad]
        found = self._culprit(run, self.age)
        if found is not None:
            self.bad[found] = Lost(Status.DIED, "the code ended its own process")
        return found is not None

    def _ask(self, do, **question):
        try:
            return self.room.ask(do, **question)
        except Lost:
            self.age = time.monotonic() - self.room.born
            self.close()
            raise

    def _runnable(self):
        return [i for i, step in enumerate(self.steps) if step.do == "run"]

    def _pass(self):
        """Run the steps that lost no room so far; raise Lost where one does."""
        self.problems, self.spent = {}, {}
        before, free, index = None, 0.0, None
        for number, step in enumerate(self.steps):
            if number in self.bad:
                self._blame(step.task, self.bad[number])
                continue
            start = time.monotonic()
            try:
                if step.do == "keep":
                    self.room.ask("keep", task=step.task)
                    continue
                if step.task or before != "":
                    # Cells of no task share their time, so it is taken up again.
                    if before == "":
                        free = self.room.used()
                    before = step.task
                    if step.task:
                        self.room.allow(self.seconds[step.task])
                    else:
                        idle = max(LEAST_SECONDS, self.free / 4)
                        self.room.allow(self.free, free, idle)
                index = number
                reply = self.room.ask("run", source=step.source)
            except Lost as lost:
                self._lose(index, lost)
                raise
            used = time.monotonic() - start
            self.spent[step.task] = self.spent.get(step.task, 0) + used
            if "error" in reply:
                status = Status.MEMORY if reply.get("memory") else Status.ERROR
                said = f"the cell raised {_plain(reply['error'])}"
                self._blame(step.task, Failed(status, said))

    def _lose(self, index, lost):
        """Leave a step out that has lost the room, or the one that is behind it."""
        if index is None:
            raise GoneError(f"an empty room was lost: {lost}") from None
        age = time.monotonic() - self.room.born
        if self.search and lost.status is Status.DIED:
            run = [i for i in self._runnable() if i < index and i not in self.bad]
            found = self._culprit(run, age)
            index = index if found is None else found
        self.bad[index] = lost
        if not self.steps[index].task and lost.status is Status.TIMEOUT:
            # Half of what is left for the next ones, or all of it would be used
            # up again by each.
            good = min(self.spent.get("", 0.0), self.free)
            self.free = 1.25 * good + max(LEAST_SECONDS, (self.free - good) / 2)
        if len(self.bad) == MOST_LOST:
            # Somebody plays: nothing of no task is run any more.
            for i in self._runnable():
                if not self.steps[i].task:
                    self.bad.setdefault(i, lost)

    def _culprit(self, run, age):
        """Return which of the steps ends a room by that age, None if none does."""
        if not self._dies(run, age):
            return None
        low, high = 0, len(run)
        while high - low > 1:
            middle = (low + high) // 2
            if self._dies(run[:middle], age):
                high = middle
            else:
                low = middle
        return run[low]

    def _dies(self, run, age):
        if not run:
            return False
        room = Room(self.launch)
        try:
            for index in run:
                room.allow(self.seconds[self.steps[index].task])
                room.ask("run", source=self.steps[index].source)
            # The same thread ends it at the same time, but for a busy machine.
            return not room.lives(room.born + 1.5 * age + 1)
        except (Lost, channel.ClosedError):
            return True
        finally:
            room.close()

    def _blame(self, task, problem):
        self.problems.setdefault(task, problem)

    def _below(self, task, name):
        number = below(self.steps, task, name)
        return f"; cell {number} defines it, below its test" if number else ""

    def _value(self, reply, what):
        try:
            if "refused" in reply:
                raise wire.WireError
            return wire.decode(reply.get("value"))
        except (wire.WireError, RecursionError):
            said = f"{what} cannot be graded; {GRADED}"
            raise Failed(Status.WRONG, said) from None


def _plain(text):
    """Return a stranger's text on one line, without control characters."""
    if not isinstance(text, str):
        return "an error"
    shown = "".join(c if c.isprintable() else " " for c in text[:300])
    return " ".join(shown.split())
