"""The time of a test: CPU time, whatever becomes of the exception on its way."""

import resource
import time

from coursegrade.examiner import server
from coursegrade.examiner.task_tests import TimeUp


def burn(seconds):
    start = time.process_time()
    while time.process_time() - start < seconds:
        pass


def test_time_that_is_up_ends_the_test():
    before = resource.getrlimit(resource.RLIMIT_CPU)
    start = time.process_time()
    with server._alarm(0.3) as alarm:
        burn(60)
    # Ticks of 10 ms, and the other threads of this process.
    assert alarm["rang"] and time.process_time() - start < 30
    assert resource.getrlimit(resource.RLIMIT_CPU) == before


def test_a_library_that_catches_every_exception_changes_nothing():
    caught = []
    with server._alarm(0.2) as alarm:
        try:
            burn(60)
        except Exception as error:
            caught.append(error)
        except BaseException:
            # Nobody should; it rings once more.
            caught.append(TimeUp)
        burn(60)
    assert alarm["rang"] and caught == [TimeUp]


def test_waiting_for_a_core_or_a_room_is_no_work():
    with server._alarm(0.3) as alarm:
        time.sleep(1)
    assert not alarm["rang"]
