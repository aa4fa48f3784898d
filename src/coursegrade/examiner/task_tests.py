"""Run a task's tests in the grader, over the values that the room gives."""

import ast
import random

import numpy as np

from coursegrade.assignment import needs
from coursegrade.assignment.master import released_source
from coursegrade.examiner.talk import RoomError
from coursegrade.statuses import Status

# What compares its first two arguments.
_EQUAL = ("isclose", "allclose", "array_equal")
_SIDES = ("got", "expected")
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


class TaskTest:
    """One task's test: first what is public of it, then the rest.

    From the first hidden test on, the room knows what nobody should learn, so no
    message takes a word from it.

    Parameters
    ----------
    master : Master
    task : Task
        One that has a test.
    student : dict
        What the cell with the student's id defines.
    """

    def __init__(self, master, task, student):
        self.task, self.student = task, student
        self.given, self.asked = needs.needed(master.cells, task.test)
        self.sources = (released_source(task.test), task.test.source)
        # Where the public tests have passed, with what they left: names, and the
        # state of the global generators, which other tasks' tests use meanwhile.
        self.room = self.space = self.drawn = None

    def run(self, session, hidden):
        """Run the public tests, or those and the hidden ones.

        What has passed in the same room is not run again.

        Parameters
        ----------
        session : Session
            The submission's room; made anew when it was lost.
        hidden : bool

        Returns
        -------
        tuple of Status and str
            The status, and a message for the student.
        """
        session.quiet = hidden or "secret_rng" in self.sources[0]
        sides = _Sides(self.asked)
        try:
            session.ensure(self.task.name)
            tree = self._begin(session, hidden)
            if not session.quiet:
                self.space.update(sides.names)
                tree = sides.visit(tree)
            exec(compile(tree, self.task.test.id, "exec"), self.space)
            self.room = session.room
            self.drawn = random.getstate(), np.random.get_state()
        except RoomError as error:
            return error.status, error.message
        except AssertionError as error:
            kind = "a hidden test" if hidden else "a public test"
            said = str(error)[:300]
            said = f"{said} ({kind})" if said else f"{kind} of this task failed"
            return Status.WRONG, f"{said}{sides}"
        except MemoryError:
            said = "what was returned needs more memory than is allowed"
            return Status.MEMORY, said
        except TimeUp:
            return Status.TIMEOUT, TOO_LONG
        except Exception as error:
            return Status.WRONG, self._unusable(error)
        return Status.OK, ""

    def _begin(self, session, hidden):
        """Have the names that the test needs; return what of it is to be run."""
        tree = needs.tree_of(self.sources[hidden])
        if hidden and self.space is not None and self.room is session.room:
            passed = [ast.dump(one) for one in needs.tree_of(self.sources[0]).body]
            if [ast.dump(one) for one in tree.body[: len(passed)]] == passed:
                del tree.body[: len(passed)]
                random.setstate(self.drawn[0])
                np.random.set_state(self.drawn[1])
                return tree
        self.space = {"__name__": "test", **self.student}
        for name in sorted(self.asked):
            plain, value = session.get(self.task.name, name)
            if not plain:
                value = RemoteFunction(session, self.task.name, name)
            self.space[name] = value
        for cell in self.given:
            exec(compile(needs.tree_of(cell.source), cell.id, "exec"), self.space)
        return tree

    def _unusable(self, error):
        """Say why a test ended in an error of its own: mostly another type or shape."""
        for name in sorted(self.asked):
            if getattr(self.space.get(name), "nothing", False):
                return f"`{name}` returned None: is its `return` missing?"
        return f"the test could not use the answer ({type(error).__name__})"


class _Sides(ast.NodeTransformer):
    """Keep both sides of an assert's comparison, for the message of a public test.

    Its inputs and what it expects stand in the notebook, so both may be shown.
    """

    def __init__(self, asked):
        self.asked, self.kept = asked, {}
        #: What the asserts call by these names.
        self.names = {"__side__": self.keep, "__sides__": self.kept}

    def keep(self, what, value):
        """Remember a side, and return it."""
        self.kept[what] = value
        return value

    def __str__(self):
        """Return the sides of the last assert in words, or nothing."""
        if len(self.kept) < 2:
            return ""
        return "".join(f"; {what} {_short(self.kept[what])}" for what in _SIDES)

    def visit_Assert(self, node):
        """Wrap the sides; forget those of the assert before."""
        test, sides = node.test, ()
        if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Eq):
            sides = [test.left, *test.comparators][:2]
        elif isinstance(test, ast.Call) and getattr(test.func, "attr", "") in _EQUAL:
            sides = test.args[:2]
        if len(sides) == 2 and not any(isinstance(s, ast.Starred) for s in sides):
            left, right = (
                self.asked & {getattr(one, "id", "") for one in ast.walk(side)}
                for side in sides
            )
            words = _SIDES[::-1] if right and not left else _SIDES
            wrapped = [
                _call(_name("__side__"), ast.Constant(word), side)
                for word, side in zip(words, sides, strict=True)
            ]
            if isinstance(test, ast.Compare):
                test.left, test.comparators[0] = wrapped
            else:
                test.args[:2] = wrapped
        forget = _call(ast.Attribute(_name("__sides__"), "clear", ast.Load()))
        made = ast.copy_location(ast.Expr(forget), node), node
        return [ast.fix_missing_locations(one) for one in made]


def _name(text):
    return ast.Name(text, ast.Load())


def _call(function, *arguments):
    return ast.Call(function, list(arguments), [])


def _short(value):
    with np.printoptions(precision=4, threshold=8):
        text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."
