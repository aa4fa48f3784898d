"""One student's results for a platform that runs the grader itself.

Gradescope reads ``results.json`` after its container has run ``run_autograder``
(gradescope-autograders.readthedocs.io/en/latest/specs, "Output format"). GitHub
Classroom's reporter reads a step's output ``result``, JSON in Base64, of which it uses
``status``, ``max_score`` and each test's ``name``, ``status``, ``message`` and
``score`` (github-education-resources/autograding-grading-reporter, ``src/main.js``,
``console-results.js``, ``notify-classroom.js``).
"""

import base64
import json
import os

from coursegrade.gradebook.feedback import told
from coursegrade.gradebook.journal import write_atomically
from coursegrade.gradebook.pages import heading


def write_results(path, master, entry, total):
    """Write Gradescope's file and, in a workflow of GitHub's, the step's output.

    Returns
    -------
    bool
        Whether each task that is graded has all its points.
    """
    tests = [
        {
            "name": heading(master, master.tasks[row["task"]]),
            "max_score": row["of"],
            "output": told(row),
            # A task that waits for a person has no score yet.
            **({} if row["points"] is None else {"score": row["points"]}),
        }
        for row in entry["rows"]
    ]
    points = total["points"] if total["total"] is None else total["total"]
    made = {"score": points, "stdout_visibility": "hidden", "tests": tests}
    write_atomically(path, json.dumps(made, indent=1))
    passed = [one.get("score", one["max_score"]) == one["max_score"] for one in tests]
    if output := os.environ.get("GITHUB_OUTPUT"):
        words = ["pass" if one else "fail" for one in (*passed, all(passed))]
        told_github = {"version": 1, "status": words.pop(), "max_score": total["of"]}
        told_github["tests"] = [
            {"name": one["name"], "status": word, "message": one["output"]}
            | {"score": one.get("score", 0), "max_score": one["max_score"]}
            for one, word in zip(tests, words, strict=True)
        ]
        coded = base64.b64encode(json.dumps(told_github).encode()).decode()
        with open(output, "a", encoding="utf-8") as file:
            file.write(f"result={coded}\n")
    return all(passed)
