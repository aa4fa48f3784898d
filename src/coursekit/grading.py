"""Random draws that depend on the class and on the student.

Two kinds, from one class secret. The student's own data come from
:func:`personal_rng`: the notebook holds a key that was derived from the secret
and cannot be turned back into it. Hidden inputs come from :func:`secret_rng`,
which only the grader can seed.
"""

import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path

import numpy as np

PUBLIC = "public"
_secret = {"secret": None, "assignment": "", "student": ""}


def class_key(secret, assignment):
    """Return the key that a released notebook holds, 16 hexadecimal digits.

    HMAC-SHA256 of the assignment's name under the secret: the same for a
    class, and of no help in finding the secret (RFC 2104).

    Parameters
    ----------
    secret : str
        The class secret. It is never written into a notebook.
    assignment : str
        The assignment's name.
    """
    return _mac(secret, "class", assignment)[:16]


def personal_rng(student_id, key, task):
    """Return a generator of one student's own data for one task.

    Parameters
    ----------
    student_id : str
        The id under which the work is handed in. Only its letters and digits count:
        no case, accent, space or other mark, and no zeros in front of a number, since
        who could choose among spellings could choose data.
    key : str
        The class key in the notebook.
    task : str
        The task's name, so that two tasks draw different numbers.

    Returns
    -------
    numpy.random.Generator

    Raises
    ------
    ValueError
        If the id is empty: the data would be nobody's.
    """
    folded = unicodedata.normalize("NFKD", str(student_id)).casefold()
    name = "".join(letter for letter in folded if letter.isalnum())
    name = (name.lstrip("0") or "0") if name.isdigit() else name
    # of marks alone there is nothing else to go by
    name = name or folded.strip()
    if not name:
        raise ValueError(
            "student_id is empty: write the id under which you hand in, "
            "since your data depend on it"
        )
    return _generator(_mac(key, name, task))


def secret_rng(task):
    """Return the generator of a task's hidden inputs.

    The grader seeds it from the class secret, the assignment and the student.
    Elsewhere, as in a student's own notebook or under nbgrader, the variable
    ``COURSEKIT_SECRET`` is the secret, or, without one, a public text.

    Parameters
    ----------
    task : str
        The task's name.

    Returns
    -------
    numpy.random.Generator
    """
    secret = _secret["secret"] or os.environ.get("COURSEKIT_SECRET") or PUBLIC
    return _generator(_mac(secret, _secret["assignment"], _secret["student"], task))


def seed_hidden_inputs(secret, assignment, student_id):
    """Seed :func:`secret_rng` in this process: the grader's part."""
    _secret.update(secret=secret, assignment=assignment, student=student_id)


def check(notebook):
    """Say what the grader will find in a notebook, before it is handed in.

    In Colab that is this notebook, as it stands there; elsewhere the file, as it was
    saved. It is run from top to bottom in a process of its own, by the command
    ``coursekit check``.

    Parameters
    ----------
    notebook : str
        The file's name, with its folder where it is not the present one.
    """
    if os.environ.get("COURSEKIT_CHECK"):
        # It is being checked or graded right now.
        return
    path = Path(notebook)
    with tempfile.TemporaryDirectory() as folder:
        if "google.colab" in sys.modules:
            from google.colab import _message

            told = _message.blocking_request("get_ipynb", request="", timeout_sec=60)
            path = Path(folder, path.name)
            path.write_text(json.dumps(told["ipynb"]), encoding="utf-8")
        elif not path.is_file():
            print(
                f"There is no {notebook} in {Path.cwd()}. Put the notebook's own name, "
                "the one in its tab, between the quotation marks."
            )
            return
        # The command's own way to the grader's half of this package.
        places = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        command = [shutil.which("coursekit", path=places) or "coursekit", "check"]
        run = subprocess.run(
            [*command, str(path)],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env=os.environ | {"PYTHONUTF8": "1"},
            check=False,
        )
    print(run.stdout + run.stderr, end="")


def _mac(key, *parts):
    # Lengths in front, so that ("ab", "c") and ("a", "bc") differ.
    text = "".join(f"{len(part)}:{part}" for part in map(str, parts))
    return hmac.new(str(key).encode(), text.encode(), hashlib.sha256).hexdigest()


def _generator(digits):
    return np.random.default_rng(int(digits, 16))
