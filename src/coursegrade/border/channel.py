"""Messages over sockets: JSON after its length, or in a packet with sockets."""

import json
import socket
import struct
import time

LIMIT = 64 * 2**20
#: So often, in seconds, somebody who waits for a message looks around.
LOOK = 0.25
_HEAD = struct.Struct("!I")
_PACKET = 4096


class ClosedError(EOFError):
    """The other end is gone."""


class BrokenError(ValueError):
    """What arrived is no message; the text says in which way."""


def send(sock, message):
    """Send one JSON message; raise BrokenError when it is over the limit."""
    data = json.dumps(message).encode()
    if len(data) > LIMIT:
        raise BrokenError(f"more than {LIMIT // 2**20} MB to send")
    sock.sendall(_HEAD.pack(len(data)) + data)


def receive(sock, deadline=None, look=None):
    """Return the next message.

    Parameters
    ----------
    sock : socket.socket
    deadline : float, optional
        On the clock of ``time.monotonic``, for the whole message.
    look : callable, optional
        Called every LOOK seconds while the message is not complete; what it
        raises ends the wait.

    Raises
    ------
    TimeoutError
        If the message is not complete by then.
    ClosedError
        If the other end is gone.
    BrokenError
        If it is too long, is not JSON, or needs more memory than there is.
    """
    wait = _Wait(deadline, look)
    (size,) = _HEAD.unpack(_exactly(sock, _HEAD.size, wait))
    if size > LIMIT:
        raise BrokenError(f"a message of more than {LIMIT // 2**20} MB")
    data = _exactly(sock, size, wait)
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise BrokenError("a message that is not JSON") from None
    except MemoryError:
        raise BrokenError("a message too large to be read") from None


def send_packet(sock, message, fds=()):
    """Send one JSON message in one packet, together with files or sockets."""
    socket.send_fds(sock, [json.dumps(message).encode()], list(fds))


def receive_packet(sock, most=0, deadline=None):
    """Return a packet's message and its files' numbers; raise as `receive` does."""
    sock.settimeout(_Wait(deadline, None).left())
    try:
        data, fds, _, _ = socket.recv_fds(sock, _PACKET, most)
    except ConnectionError:
        raise ClosedError from None
    if not data:
        raise ClosedError
    return json.loads(data), fds


class _Wait:
    """How long to wait for a message, and who looks around meanwhile."""

    def __init__(self, deadline, look):
        self.deadline, self.look = deadline, look
        self.looked = time.monotonic()

    def left(self):
        """Return the seconds until somebody has to look; raise when time is up."""
        now = time.monotonic()
        if self.look and now - self.looked >= LOOK:
            self.look()
            self.looked = now = time.monotonic()
        if self.deadline is None:
            return LOOK if self.look else None
        if now >= self.deadline:
            raise TimeoutError
        left = self.deadline - now
        return min(LOOK, left) if self.look else left


def _exactly(sock, size, wait):
    parts = bytearray()
    while len(parts) < size:
        sock.settimeout(wait.left())
        try:
            part = sock.recv(min(size - len(parts), 2**20))
        except TimeoutError:
            continue
        except ConnectionError:
            raise ClosedError from None
        if not part:
            raise ClosedError
        parts += part
    return bytes(parts)
