"""One room seen from the grader: questions, the CPU time they take, and its end."""

import secrets
import select
import time

from coursegrade.border import channel
from coursegrade.sandbox.bubblewrap import SandboxError
from coursegrade.statuses import Status

START_SECONDS = 60
# What the warm parent takes to answer, on the busiest of machines.
WARM_SECONDS = 60
KEEP_SECONDS = 10
# Others may use the cores meanwhile: so much longer may it take by the clock.
BUSY = 10


class RoomError(Exception):
    """A room could not do what it was asked; ``status`` is a grade's status."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status, self.message = Status(status), message


class Failed(RoomError):
    """The submission's code raised, or gave what cannot be graded; it lives on."""


class Lost(RoomError):
    """The room is gone: too slow, too large, ended by itself, or not to be trusted."""


class GoneError(BaseException):
    """The sandbox itself is gone, or does not work: no grade may follow from it.

    It is no Exception: a test that is running must not take it for the answer's.
    """


class Room:
    """One room's two sockets, and the CPU time that it may use.

    Parameters
    ----------
    launch : callable
        Returns a new room's two sockets, as ``Sandbox.room`` does.
    """

    def __init__(self, launch):
        try:
            self.talk, self.life = launch()
        except SandboxError as error:
            raise GoneError(str(error)) from None
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
