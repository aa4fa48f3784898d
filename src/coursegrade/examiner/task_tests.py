"""Run a task's tests in the grader, over the values that the room gives."""

import types

from coursegrade.assignment import needs
from coursegrade.assignment.master import released_source
from coursegrade.examiner.talk import RoomError
from coursegrade.statuses import Status

TOO_LONG = "the test took longer than the time allowed"


class TimeUp(BaseException):
    """The CPU time of a test is up; no Exception, which a library may catch."""


class RemoteFunction:
    """A student's function, called in the room with bare data.

    Arguments are copied: a list or model that the function changes is not
    changed here. It has to return what it made.
    """

    def __init__(self, session, task, name):
        self.__name__ = name
        self.session, self.task = session, task
        self.nothing = False

    def __call__(self, *args, **kwargs):
        """Return the function's value, as plain data or a Keras object."""
        value = self.session.call(self.task, self.__name__, args, kwargs)
        self.nothing = value is None
        return value


def check_task(master, task, session, student, hidden=True):
    """Run one task's public tests, or those and the hidden ones.

    Returns ``(status, message)``. From the first hidden one on, the room knows what
    nobody should learn, so no message takes a word from it.

    Parameters
    ----------
    master : Master
    task : Task
        One that has a test.
    session : Session
        The submission's room; made anew when it was lost.
    student : dict
        What the cell with the student's id defines.
    hidden : bool
        Run the hidden tests, too.
    """
    source = task.test.source if hidden else released_source(task.test)
    session.quiet = hidden or "secret_rng" in source
    given, asked = needs.needed(master.cells, task.test)
    # Its own module, so that functions of given cells find the asked names.
    module = types.ModuleType("test")
    space = module.__dict__
    space.update(student)
    functions = []
    try:
        session.ensure(task.name)
        for name in sorted(asked):
            plain, value = session.get(task.name, name)
            if not plain:
                value = RemoteFunction(session, task.name, name)
                functions.append(value)
            space[name] = value
        for cell in given:
            exec(compile(needs.tree_of(cell.source), cell.id, "exec"), space)
        exec(compile(needs.tree_of(source), task.test.id, "exec"), space)
    except RoomError as error:
        return error.status, error.message
    except AssertionError as error:
        kind = "a hidden test" if hidden else "a test"
        return Status.WRONG, str(error)[:300] or f"{kind} of this task failed"
    except MemoryError:
        said = "what was returned needs more memory than is allowed"
        return Status.MEMORY, said
    except TimeUp:
        return Status.TIMEOUT, TOO_LONG
    except Exception as error:
        for function in functions:
            if function.nothing:
                said = f"`{function.__name__}` returned None: is its `return` missing?"
                return Status.WRONG, said
        # Mostly a value of another type or shape than the test expects.
        kind = type(error).__name__
        return Status.WRONG, f"the test could not use the answer ({kind})"
    return Status.OK, ""
