"""The grader's side of a room: run the steps, ask for values, go on after a death.

Once a question was asked, the room knows a hidden input, and each word that it sends
could carry one out to the student's feedback: a type's name, an error's kind, an exit
status. From then on, all messages are the grader's own.
"""

import builtins
import time

from coursegrade.border import channel, wire
from coursegrade.examiner.notebook import below
from coursegrade.examiner.talk import Failed, GoneError, Lost, Room
from coursegrade.statuses import Status

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
        self._in_room("allow", self.seconds[task])

    def get(self, task, name):
        """Return a name as the task's cells left it.

        Returns
        -------
        tuple
            ``(True, value)``, or ``(False, None)`` for something to call.
        """
        reply = self._in_room("ask", "get", task=task, name=name)
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
        reply = self._in_room("ask", "call", **question)
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

    def _in_room(self, do, *args, **question):
        """Call a method of the room; where the room is lost by it, it is gone."""
        try:
            return getattr(self.room, do)(*args, **question)
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
