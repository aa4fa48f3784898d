"""What a failure of the grader's own is taken for: never for a wrong answer."""

from pathlib import Path

import pytest

from coursegrade.assignment.master import read_master
from coursegrade.examiner.talk import GoneError, Room
from coursegrade.examiner.task_tests import check_task
from coursegrade.sandbox.bubblewrap import SandboxError

MASTER = read_master(Path(__file__).parents[2] / "data/tiny.md")


class Broken:
    """A session whose sandbox is lost at one of its methods."""

    def __init__(self, lost):
        self.lost, self.room = lost, None

    def __getattr__(self, name):
        def answer(*args):
            if name == self.lost:
                raise GoneError("the sandbox has ended")
            return False, None

        return answer


@pytest.mark.parametrize("lost", ["ensure", "get", "call"])
def test_a_lost_sandbox_is_no_wrong_answer(lost):
    with pytest.raises(GoneError):
        check_task(MASTER, MASTER.tasks["stddev"], Broken(lost), {})


def test_no_room_is_a_lost_sandbox():
    def launch():
        raise SandboxError("the sandbox has ended")

    with pytest.raises(GoneError, match="has ended"):
        Room(launch)
