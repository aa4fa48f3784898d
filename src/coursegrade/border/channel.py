"""Messages over a socket: a length, then JSON; with a deadline and a limit."""

import json
import struct
import time

LIMIT = 64 * 2**20
_HEAD = struct.Struct("!I")


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


def receive(sock, deadline=None):
    """Return the next message.

    Parameters
    ----------
    sock : socket.socket
    deadline : float, optional
        On the clock of ``time.monotonic``, for the whole message.

    Raises
    ------
    TimeoutError
        If the message is not complete by then.
    ClosedError
        If the other end is gone.
    BrokenError
        If it is too long or is not JSON.
    """
    (size,) = _HEAD.unpack(_exactly(sock, _HEAD.size, deadline))
    if size > LIMIT:
        raise BrokenError(f"a message of more than {LIMIT // 2**20} MB")
    data = _exactly(sock, size, deadline)
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise BrokenError("a message that is not JSON") from None


def _exactly(sock, size, deadline):
    parts = bytearray()
    while len(parts) < size:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            sock.settimeout(left)
        else:
            sock.settimeout(None)
        try:
            part = sock.recv(min(size - len(parts), 2**20))
        except ConnectionError:
            raise ClosedError from None
        if not part:
            raise ClosedError
        parts += part
    return bytes(parts)
