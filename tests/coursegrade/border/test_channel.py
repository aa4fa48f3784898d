"""Messages: whole, in time, or an error that says why not."""

import json
import socket
import struct
import time

import pytest

from coursegrade.border import channel


@pytest.fixture
def pair():
    one, two = socket.socketpair()
    with one, two:
        yield one, two


def test_a_message_arrives_as_it_was(pair):
    channel.send(pair[0], {"a": [1, "b\ud800"]})
    assert channel.receive(pair[1]) == {"a": [1, "b\ud800"]}


def test_nothing_in_time(pair):
    pair[0].sendall(b"\0\0")
    with pytest.raises(TimeoutError):
        channel.receive(pair[1], time.monotonic() + 0.1)
    pair[0].close()
    with pytest.raises(channel.ClosedError):
        channel.receive(pair[1])


@pytest.mark.parametrize("drip", [False, True])
def test_who_waits_looks_around(pair, drip):
    looked = []

    def look():
        looked.append(1)
        if drip:
            pair[0].sendall(b"\0")
        if len(looked) == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        channel.receive(pair[1], time.monotonic() + 60, look)
    assert len(looked) == 3


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (None, "more than"),
    ],
)
def test_what_is_no_message(pair, data, said):
    size = channel.LIMIT + 1 if data is None else len(data)
    pair[0].sendall(struct.pack("!I", size) + (data or b""))
    with pytest.raises(channel.BrokenError, match=said):
        channel.receive(pair[1])


def test_what_needs_too_much_memory_is_no_failure_of_ours(pair, monkeypatch):
    def loads(data):
        raise MemoryError

    monkeypatch.setattr(json, "loads", loads)
    pair[0].sendall(struct.pack("!I", 2) + b"[]")
    with pytest.raises(channel.BrokenError, match="too large"):
        channel.receive(pair[1])


def test_a_packet_brings_sockets_along():
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, two:
        here, there = socket.socketpair()
        with here, there:
            channel.send_packet(one, {"a": 1}, [there.fileno()])
            message, (number,) = channel.receive_packet(two, most=1)
            with socket.socket(fileno=number) as got:
                channel.send(got, "hello")
            assert message == {"a": 1} and channel.receive(here) == "hello"
        one.close()
        with pytest.raises(channel.ClosedError):
            channel.receive_packet(two)
