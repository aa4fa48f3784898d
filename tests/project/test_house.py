"""The rules of the house: who may import whom, what is private, what is too long."""

import ast
import re
from pathlib import Path

import pytest

import coursekit
import house
from coursekit import clinic

ROOT = Path(__file__).parents[2]
API = ROOT / "book" / "reference" / "api.md"

# What may break a rule for a while, as the test prints it. An entry that no longer
# occurs must go: the set only shrinks.
KNOWN: set[str] = set()


@pytest.fixture(scope="module")
def tree():
    """Return the project's own files, read once."""
    return house.Tree(ROOT)


def test_the_rules_hold(tree):
    found = house.breaches(tree)
    new = [f"{what} ({found[what]})" for what in found if what not in KNOWN]
    assert not new, "\n".join(["a rule of the house is broken:", *sorted(new)])
    mended = KNOWN - found.keys()
    assert not mended, f"take these out of KNOWN: {sorted(mended)}"


def test_the_tree_is_read(tree):
    """What was not read could not break a rule."""
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "book/_ext").rglob("*.py")]:
        assert any(source.path == path for source in tree.sources), path
    pages = {source.name for source in tree.sources if source.path.suffix == ".md"}
    assert {"book/vanishing.md", "assignments/cures.md"} <= pages
    uses = {(one.name, use.module) for one, use in house.all_uses(tree)}
    assert ("book/vanishing.md", "coursekit") in uses
    # late, started by name, handed on by a table
    assert ("coursekit.probing", "coursekit._taps") in uses
    assert ("coursegrade.examiner.client", "coursegrade.examiner.server") in uses
    assert ("coursekit", "coursekit.clinic.trace_plots") in uses


# --- each rule is red when it is broken ---------------------------------------

FACE = '''"""A face."""
from coursekit._lazy import attach
__getattr__, __dir__, __all__ = attach(__name__, {table}, modules={modules})
'''
EMPTY = '"""A folder."""\n'
PAGE = """\
---
jupytext: {{text_representation: {{extension: .md, format_name: myst}}}}
kernelspec: {{display_name: Python 3, language: python, name: python3}}
---
# A page

```{{code-cell}} ipython3
:tags: [hide-input]
%matplotlib inline
{}
```
"""
SOUND = {
    "src/coursekit/__init__.py": FACE.format(
        table={"probe": "probing", "diagnose": "clinic"}, modules={"plots": "plots"}
    ),
    "src/coursekit/_lazy.py": "def attach(*tables): ...",
    "src/coursekit/_taps.py": "_own = 1\ndef leaves(): ...",
    "src/coursekit/probing.py": "def probe():\n    from coursekit import _taps",
    "src/coursekit/plots.py": "",
    "src/coursekit/grading.py": "",
    "src/coursekit/clinic/__init__.py": FACE.format(
        table={"diagnose": "diagnosis.report"}, modules={}
    ),
    "src/coursekit/clinic/trace.py": "",
    "src/coursekit/clinic/_checkup.py": "from coursekit.clinic import trace",
    "src/coursekit/clinic/diagnosis/__init__.py": EMPTY,
    "src/coursekit/clinic/diagnosis/report.py": (
        "from coursekit import _taps\nfrom coursekit.clinic._checkup import checkup\n"
        "def diagnose(): return _taps.leaves"
    ),
    "src/coursekit/clinic/monitor/__init__.py": EMPTY,
    "src/coursekit/clinic/monitor/_rows.py": "",
    "src/coursekit/clinic/monitor/callback.py": (
        "from coursekit.clinic.monitor import _rows\n"
        "from coursekit.clinic.diagnosis import report\n"
        "class Monitor:\n    def __init__(self): self._log = _rows.A"
    ),
    "src/coursegrade/__init__.py": EMPTY,
    "src/coursegrade/cli.py": "from coursegrade.gradebook import marks",
    "src/coursegrade/statuses.py": "",
    "src/coursegrade/gradebook/__init__.py": EMPTY,
    "src/coursegrade/gradebook/marks.py": "from coursegrade.border import wire",
    "src/coursegrade/border/__init__.py": EMPTY,
    "src/coursegrade/border/wire.py": "",
    "src/coursegrade/sandbox/__init__.py": EMPTY,
    "src/coursegrade/sandbox/warm.py": "import coursegrade\nimport coursekit",
    "book/_ext/page/__init__.py": (
        '"""Pages."""\nfrom . import head\n'
        "def own(app): ...\ndef setup(app): app.connect('x', own)"
    ),
    "book/_ext/page/head.py": "from coursekit import plots",
    "book/page.md": PAGE.format("from coursekit import probe"),
    "assignments/first.md": PAGE.format("from coursekit import grading"),
    "benchmarks/_ratio.py": "",
    "benchmarks/speed.py": "import _ratio\nfrom coursegrade import cli",
    "scripts/figures.py": "import coursekit",
}
TEXT = '"""Two\n    lines."""'
LINES = "\n".join(f"    {n}" for n in range(58))


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    return house.breaches(house.Tree(folder))


def test_a_sound_tree_breaks_nothing(tmp_path):
    assert write(tmp_path, SOUND) == {}


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        # 1: who may import whom
        ("src/coursekit/data.py", "import coursegrade.cli", "1 who"),
        ("src/coursekit/data.py", "def a():\n  from coursegrade import cli", "1 who"),
        ("src/coursekit/data.py", "from coursekit.plots import INK", "1 who"),
        ("src/coursekit/data.py", "from coursekit import plots", "1 who"),
        ("src/coursekit/data.py", "import figures", "1 who"),
        ("src/coursegrade/more.py", "from coursekit import probe, probing", "1 who"),
        ("book/_ext/page/more.py", "from coursegrade import cli", "1 who"),
        ("scripts/more.py", "from coursegrade import cli", "1 who"),
        ("book/more.md", PAGE.format("import coursegrade"), "1 who"),
        ("assignments/more.md", PAGE.format("import coursegrade"), "1 who"),
        # 2: inside clinic
        (
            "src/coursekit/clinic/diagnosis/more.py",
            "from coursekit.clinic.monitor.callback import Monitor",
            "2 inside",
        ),
        ("src/coursekit/clinic/trace.py", "from coursekit.clinic import _checkup", "2"),
        ("src/coursekit/data.py", "from coursekit.clinic.trace import Trace", "2"),
        # 3: inside coursegrade
        ("src/coursegrade/border/more.py", "from coursegrade.gradebook import a", "3"),
        ("src/coursegrade/gradebook/more.py", "import coursegrade.cli", "3"),
        ("src/coursegrade/sandbox/more.py", "from coursegrade import statuses", "3"),
        ("src/coursegrade/sandbox/more.py", "from coursekit.grading import a", "3"),
        ("src/coursegrade/border/more.py", "from coursekit import grading", "3"),
        ("src/coursegrade/border/more.py", "RUN = ['-m', 'coursegrade.cli']", "3"),
        # 4: public and private
        ("book/more.md", PAGE.format("from coursekit import _taps"), "4 private mod"),
        ("book/more.md", PAGE.format("import coursekit._taps"), "4 private mod"),
        (
            "book/more.md",
            PAGE.format("import coursekit\ncoursekit._taps"),
            "4 private mod",
        ),
        ("src/coursekit/data.py", "import coursekit.clinic._checkup", "4 private mod"),
        (
            "src/coursekit/clinic/diagnosis/more.py",
            "from coursekit.clinic.monitor._rows import A",
            "4 private mod",
        ),
        ("scripts/more.py", "import _ratio", "4 private mod"),
        ("src/coursekit/data.py", "from coursekit._taps import _own", "4 private name"),
        (
            "src/coursekit/data.py",
            "from coursekit import _taps as t\ndef a(): return t._own",
            "4 private name",
        ),
        (
            "src/coursekit/data.py",
            "from coursekit import _taps\ngetattr(_taps, '_own')",
            "4 private name",
        ),
        ("src/coursekit/data.py", "def a(monitor): monitor._log", "4 private name"),
        ("book/_ext/page/more.py", "from .head import _x", "4 private name"),
        ("book/_ext/page/more.py", "from . import head\nhead._x", "4 private name"),
        # 5: names of modules
        ("src/coursekit/probe.py", "", "5 name"),
        ("src/coursekit/clinic/diagnose.py", "", "5 name"),
        # 6: folders
        ("src/coursekit/more/a.py", "", "6 folder"),
        ("src/coursekit/more/__init__.py", "from a import b", "6 folder"),
        ("src/coursekit/more/__init__.py", '"""Some."""\ndef a(): ...', "6 folder"),
        ("src/coursekit/more/__init__.py", '"""Some."""\nclass A: ...', "6 folder"),
        # circles, late ones and those of folders too
        ("src/coursekit/_taps.py", "def a():\n  import coursekit.probing", "circle"),
        ("src/coursekit/_taps.py", "import coursekit", "circle"),
        ("src/coursekit/clinic/trace.py", "from coursekit import clinic", "circle"),
        ("book/_ext/page/head.py", "def a(): from . import setup", "circle"),
        # length, and one name for two
        ("src/coursekit/data.py", f"def a():\n    {TEXT}\n{LINES}", "long function"),
        ("scripts/speed.py", "", "one name"),
    ],
)
def test_a_broken_rule_is_seen(tmp_path, file, text, expected):
    found = write(tmp_path, SOUND | {file: text})
    assert any(one.startswith(expected) for one in found), found


def test_a_circle_of_folders_without_one_of_modules(tmp_path):
    files = {
        "book/_ext/a/__init__.py": EMPTY,
        "book/_ext/a/one.py": "import b.one",
        "book/_ext/a/two.py": "",
        "book/_ext/b/__init__.py": EMPTY,
        "book/_ext/b/one.py": "",
        "book/_ext/b/two.py": "import a.two",
    }
    assert list(write(tmp_path, SOUND | files)) == ["circle: top: a <-> b"]


def test_what_is_allowed_at_the_limits(tmp_path):
    fine = {
        # 60 lines, with a docstring
        "src/coursekit/data.py": f"def a():\n    {TEXT}\n{LINES}"[: -len("\n    57")],
        # private to others, and own
        "src/coursekit/more.py": "import os\nos._exit\nclass A:\n  _b = 1\nA()._b",
        "src/coursekit/_loud.py": "_log = 1\n_log",
    }
    assert write(tmp_path, SOUND | fine) == {}


# --- what the API page shows --------------------------------------------------


def documented():
    """Return what the API page shows: names, and of modules what it picks."""
    found = {}
    for line in API.read_text(encoding="utf-8").splitlines():
        if line.startswith(".. auto"):
            name = line.partition("::")[2].strip()
            found[name] = []
        elif line.strip().startswith(":members:"):
            picked = line.partition(":members:")[2].split(",")
            found[name] = [one.strip() for one in picked if one.strip()] or [...]
    return found


def test_the_api_page_names_nothing_private():
    assert len(documented()) > 10
    for name, members in documented().items():
        parts = [*name.split("."), *(one for one in members if one is not ...)]
        assert not any(map(house.is_private, parts)), name


def test_the_api_page_shows_all_that_the_face_hands_on(tree):
    """Each name by itself or with its module; `trace_plots` and such are modules."""
    shown = documented()
    for name, home in tree.modules["coursekit"].handed_on.items():
        places = [home]
        while name in (further := tree.modules[places[-1]].handed_on):
            places.append(further[name])
        alone = {f"{place}.{name}" for place in ["coursekit", *places]}
        picked = [shown[place] for place in places if place in shown]
        with_its_module = any({name, ...} & {*members} for members in picked)
        is_module = home.endswith(f".{name}") and home in shown
        assert alone & shown.keys() or with_its_module or is_module, name


def test_the_api_page_shows_every_threshold_that_says_why():
    rules = ROOT / "src/coursekit/clinic/diagnosis/rules.py"
    reasons = r"^#:.*\n(?:#.*\n)*([A-Z_]+) = [\d.e-]+$"
    said = re.findall(reasons, rules.read_text(encoding="utf-8"), re.M)
    page = API.read_text(encoding="utf-8").split("clinic.diagnosis.rules\n")[1]
    assert re.search(r":members: (.*)", page)[1].split(", ") == said


def test_the_face_offers_its_names_and_no_more():
    assert dir(coursekit) == sorted(coursekit.__all__)
    assert dir(clinic) == sorted(clinic.__all__)


def test_tests_mirror_the_tree():
    for name in ("coursekit", "coursegrade"):
        for path in (ROOT / "tests" / name).rglob("test_*.py"):
            mirrored = ROOT / "src" / path.parent.relative_to(ROOT / "tests")
            assert (mirrored / "__init__.py").is_file(), path
    for name in ("lab", "notebooks", "page"):
        assert (ROOT / "book" / "_ext" / name / "__init__.py").is_file()


def test_no_file_changes_the_path_of_imports():
    """Pytest's `pythonpath` and the Makefile's list say where modules are.

    The grader's module takes the current folder away: hand-ins may lie there.
    """
    forbidden = {"sys.path", "spec_from_file_location", "runpy", "syspath_prepend"}
    folders = ["src", "book/_ext", "scripts", "benchmarks", "tests"]
    for path in [path for name in folders for path in (ROOT / name).rglob("*.py")]:
        if path == ROOT / "src/coursegrade/__main__.py":
            continue
        code = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(code):
            if isinstance(node, ast.Attribute | ast.Name):
                text = ast.unparse(node)
                assert not any(text.endswith(one) for one in forbidden), (path, text)
