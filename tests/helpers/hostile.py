"""Submissions of the tiny assignment: right, wrong, broken and hostile ones.

Each is the released notebook with some answers replaced, or the bytes of a file.
``expected`` are the statuses of the tasks mean (2 points), stddev (3) and
network (5), worked out by hand from what a fair grader would say.
"""

import json
import os
from dataclasses import dataclass, field

OK = ("ok", "ok", "ok")
EITHER = {"ok", "died"}
MEAN = "mean = mine.mean()"
STDDEV = "def he_stddev(fan_in):\n    return np.sqrt(2 / fan_in)"
NETWORK = (
    "def network(depth):\n"
    '    hidden = [keras.layers.Dense(8, "relu") for _ in range(depth)]\n'
    "    return keras.Sequential([keras.Input((4,)), *hidden])"
)
#: The same for a third task without Keras.
SIZES = "def network(depth):\n    return [8] * depth"
AS_RELEASED = object()
WRONG_STDDEV = "def he_stddev(fan_in):\n    return 1.0"


@dataclass(frozen=True)
class Case:
    """A submission; ``answers`` replaces those of the good one, None drops a cell.

    ``expected`` is the status of each task, or a set of those that may come.

    ``first`` and ``last`` are cells before and after all others. With ``keras`` the
    third task builds a model, which starts TensorFlow in the room and in the examiner:
    for what attacks a model, or what TensorFlow needs.
    """

    name: str
    expected: tuple
    answers: dict = field(default_factory=dict)
    first: str = ""
    last: str = ""
    edit: object = None
    raw: object = None
    keras: bool = False


def grade_id(metadata):
    """Return the id that a cell's metadata hold, or None."""
    known = metadata.get("nbgrader") or metadata.get("coursekit") or {}
    return known.get("grade_id")


def notebook(released, student, case):
    """Return the bytes of a case's notebook, made from the released one."""
    third = NETWORK if case.keras else SIZES
    answers = {"mean": MEAN, "stddev": STDDEV, "network": third} | case.answers
    made = json.loads(json.dumps(released))
    cells = []
    for cell in made["cells"]:
        name = grade_id(cell["metadata"])
        if name in answers:
            if answers[name] is None:
                continue
            if answers[name] is AS_RELEASED:
                cells.append(cell)
                continue
            first = "".join(cell["source"]).partition("\n")[0]
            cell["source"] = f"{first}\n{answers[name]}"
        if name == "student":
            key = "".join(cell["source"]).partition("\n")[2]
            cell["source"] = f'student_id = "{student}"\n{key}'
        cells.append(cell)
    for source, place in ((case.first, 0), (case.last, len(cells) + 1)):
        if source:
            cells.insert(place, code_cell(source))
    made["cells"] = cells
    if case.edit:
        case.edit(made)
    return case.raw(made) if case.raw else json.dumps(made).encode()


def code_cell(source):
    """Return a code cell of no task."""
    return {
        "cell_type": "code",
        "metadata": {},
        "source": source,
        "outputs": [],
        "execution_count": None,
    }


def _tests(made):
    return [
        cell
        for cell in made["cells"]
        if cell["metadata"].get("nbgrader", {}).get("grade")
        and cell["cell_type"] == "code"
    ]


def _delete_tests(made):
    for cell in _tests(made):
        made["cells"].remove(cell)


def _edit_tests(made):
    for cell in _tests(made):
        cell["source"] = "pass  # all is well"


def _forge_outputs(made):
    made["metadata"]["grade"] = 10
    for cell in _tests(made):
        cell["metadata"]["nbgrader"]["points"] = 99
        cell["outputs"] = [
            {"output_type": "stream", "name": "stdout", "text": "ok 10/10"}
        ]


def _many_cells(made):
    made["cells"] += [code_cell(f"x{i} = {i}") for i in range(10_000)]


def _damaged_cells(made):
    made["cells"] += [{"cell_type": "code", "source": None}, None, {"source": 3}]


def _answer_below_its_test(made):
    made["cells"].append(made["cells"].pop(_index(made, "stddev")))


def _answers_moved_up(made):
    made["cells"].insert(0, made["cells"].pop(_index(made, "network")))


def _index(made, name):
    return next(
        i for i, c in enumerate(made["cells"]) if grade_id(c["metadata"]) == name
    )


def _edit_given(made):
    # Easier data for oneself, and a test's helper that always agrees.
    for cell in made["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade_id", "").startswith("given"):
            cell["source"] = "".join(cell["source"]) + "\nmine = np.zeros(9)"


# Finds every socket that this process has, as code that looks for the grader's. All
# are found before the first is doubled, or the doubles would be found, too.
FIND_SOCKETS = """
import os, socket, stat, struct, json
found = []
for fd in range(3, 256):
    try:
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            found.append(fd)
    except OSError:
        pass
socks = [socket.socket(fileno=os.dup(fd)) for fd in found]
"""
FORGE = """
def frame(d):
    b = json.dumps(d).encode()
    return struct.pack("!I", len(b)) + b
"""
# Gives the right value to nobody who does not know it already.
ALWAYS = """
class Yes(float):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
    def __abs__(self): return 0.0
    __hash__ = float.__hash__
"""

CASES = [
    Case("good", OK, keras=True),
    Case("one_wrong", ("ok", "wrong", "ok"), {"stddev": WRONG_STDDEV}),
    Case("syntax_error", ("ok", "error", "ok"), {"stddev": "def he_stddev(fan_in:"}),
    Case("raises", ("ok", "error", "ok"), {"stddev": "1 / 0"}),
    Case(
        "infinite_loop",
        ("ok", "timeout", "ok"),
        {"stddev": "while True: pass"},
        keras=True,
    ),
    Case(
        "loop_when_asked",
        ("ok", "timeout", "ok"),
        {"stddev": "def he_stddev(fan_in):\n    while fan_in > 2: pass\n    return 1"},
    ),
    Case("memory_hog", OK, last="hog = np.ones((6 * 2**27,))", keras=True),
    Case(
        "memory_in_answer",
        ("ok", "memory", "ok"),
        {"stddev": "hog = np.ones((6 * 2**27,))\n" + STDDEV},
        keras=True,
    ),
    Case(
        "memory_by_and_by",
        ("ok", "memory", "ok"),
        {
            "stddev": "import os\nhog = []\nfor _ in range(8):\n"
            "    if os.fork() == 0:\n"
            "        hog = b'x' * (400 * 2**20)\n"
            "        import time; time.sleep(60)\n"
            "os.wait()\n" + STDDEV
        },
        keras=True,
    ),
    Case(
        "deleted_tests",
        ("ok", "wrong", "ok"),
        {"stddev": WRONG_STDDEV},
        edit=_delete_tests,
    ),
    Case(
        "edited_tests",
        ("ok", "wrong", "ok"),
        {"stddev": WRONG_STDDEV},
        edit=_edit_tests,
    ),
    Case(
        "forged_outputs",
        ("ok", "wrong", "ok"),
        {"stddev": WRONG_STDDEV},
        edit=_forge_outputs,
    ),
    Case(
        "edited_given", ("wrong", "ok", "ok"), {"mean": "mean = 0.0"}, edit=_edit_given
    ),
    Case(
        "pickle_payload",
        ("ok", "wrong", "ok"),
        {
            "stddev": "import os, pickle\nclass Boom:\n    def __reduce__(self):\n"
            "        return os.system, ('touch /tmp/boom',)\n"
            "def he_stddev(fan_in):\n    return Boom()"
        },
    ),
    Case(
        "object_array",
        ("ok", "wrong", "ok"),
        {
            "stddev": "def he_stddev(fan_in):\n"
            "    return np.array([lambda: 1], dtype=object)"
        },
    ),
    Case("corrupt_json", ("unreadable",) * 3, raw=lambda made: b'{"cells": [{'),
    Case("empty_file", ("unreadable",) * 3, raw=lambda made: b""),
    Case("not_a_notebook", ("unreadable",) * 3, raw=lambda made: b'{"cells": 7}'),
    Case("deep_json", ("unreadable",) * 3, raw=lambda made: b"[" * 500_000),
    Case("binary", ("unreadable",) * 3, raw=lambda made: os.urandom(5000)),
    Case("answer_missing", ("ok", "missing", "ok"), {"stddev": None}),
    Case(
        "nothing_done",
        ("missing",) * 3,
        dict.fromkeys(("mean", "stddev", "network"), AS_RELEASED),
        keras=True,
    ),
    Case(
        "exits",
        ("ok", "died", "ok"),
        {"stddev": "import os\nos._exit(0)\n" + STDDEV},
        keras=True,
    ),
    Case(
        "exits_when_asked",
        ("ok", "died", "ok"),
        {"stddev": "import os\ndef he_stddev(fan_in):\n    os._exit(0)"},
    ),
    Case("system_exit", OK, last="raise SystemExit(0)"),
    Case(
        "segfault",
        ("ok", "died", "ok"),
        {"stddev": "import ctypes\nctypes.string_at(0)"},
    ),
    Case(
        "endless_recursion",
        ("ok", "error", "ok"),
        {"stddev": "def he_stddev(fan_in):\n    return he_stddev(fan_in)"},
    ),
    Case(
        "reads_answers",
        ("ok", "wrong", "ok"),
        {
            "stddev": "import glob\nfound = ''\n"
            "for p in [f for place in ('/home/**', '/tmp/**', PLACE + '/../**',"
            " '/proc/*/environ', '/proc/*/cmdline')"
            " for f in glob.glob(place, recursive=True)]:\n"
            "    try: found += open(p, errors='ignore').read()\n"
            "    except OSError: pass\n"
            "leak = 'isclose' in found or 's3cret-of' in found\n"
            "def he_stddev(fan_in):\n"
            "    return np.sqrt(2 / fan_in) if leak else 1.0"
        },
    ),
    Case(
        "reads_memory",
        ("ok", "wrong", "ok"),
        {
            "stddev": "import gc, sys\n"
            "leak = any('ssalc-eht-fo-terc3s' in str(o)[9999::-1]"
            " for o in gc.get_objects() if isinstance(o, (dict, list)))\n"
            "def he_stddev(fan_in):\n"
            "    return np.sqrt(2 / fan_in) if leak else 1.0"
        },
    ),
    Case(
        "writes_outside",
        ("ok", "wrong", "ok"),
        {
            "stddev": "import os\nwrote = 0\n"
            "for p in ('/', '/usr', '/etc', '/home/..', os.path.dirname(np.__file__),"
            " PLACE):\n"
            "    try: open(p + '/coursekit_was_here', 'w').write('x'); wrote += 1\n"
            "    except OSError: pass\n"
            "def he_stddev(fan_in):\n"
            "    return np.sqrt(2 / fan_in) if wrote else 1.0"
        },
        keras=True,
    ),
    Case(
        "opens_socket",
        ("ok", "wrong", "ok"),
        {
            "stddev": "import socket\nthere = 0\n"
            "for host in ('127.0.0.1', '8.8.8.8'):\n"
            "    try: socket.create_connection((host, PORT), 1); there += 1\n"
            "    except OSError: pass\n"
            "def he_stddev(fan_in):\n"
            "    return np.sqrt(2 / fan_in) if there else 1.0"
        },
    ),
    Case(
        "prints_100_mb", OK, first="for _ in range(100): print('x' * 2**20)", keras=True
    ),
    Case(
        "magics",
        OK,
        first="%matplotlib inline\n!echo hello\n%time x = 1\nget_ipython()\n"
        "import asyncio; await asyncio.sleep(0.01)",
        keras=True,
    ),
    Case(
        "fork_bomb",
        ("ok", "timeout", "ok"),
        {
            "stddev": "import os\nwhile True:\n"
            "    try: os.fork()\n    except OSError: pass"
        },
        keras=True,
    ),
    Case(
        "thread_bomb",
        OK,
        last="import threading, time\n"
        "try:\n"
        "    for _ in range(9999): threading.Thread(target=time.sleep, args=(99,),"
        " daemon=True).start()\n"
        "except RuntimeError: pass",
        keras=True,
    ),
    Case("many_cells", OK, edit=_many_cells),
    Case(
        "patched_numpy",
        ("ok", "wrong", "ok"),
        {"stddev": "np.isclose = np.allclose = lambda *a, **k: True\n" + WRONG_STDDEV},
        keras=True,
    ),
    Case(
        "patched_keras",
        ("ok", "ok", "error"),
        {
            "network": "keras.layers.Dense.units = property(lambda self: 8)\n"
            "keras.Sequential.__call__ = lambda self, x: np.ones((2, 8))\n"
            "def network(depth):\n"
            "    return keras.Sequential([keras.Input((4,)),"
            " *[keras.layers.Dense(9) for _ in range(3)]])"
        },
        keras=True,
    ),
    Case(
        "patched_grader",
        ("wrong", "error", "error"),
        {
            "stddev": "import builtins, coursegrade.border as g\n"
            "from coursegrade.border import wire\n"
            "from coursegrade.examiner import task_tests as check\n"
            "from coursegrade.sandbox import room\n"
            "check.TaskTest.run = lambda *a: ('ok', '')\n"
            "room.Room.get = lambda self, task, name: {'callable': True}\n"
            "room.Room.call = lambda self, *a: {'value': True, 'status': 'ok'}\n"
        },
        keras=True,
    ),
    Case(
        "equals_all",
        ("wrong", "wrong", "ok"),
        {
            "mean": ALWAYS + "mean = Yes(7)",
            "stddev": "def he_stddev(fan_in):\n    return Yes(7)",
        },
    ),
    Case(
        "nan",
        ("wrong", "wrong", "ok"),
        {"mean": "mean = float('nan')", "stddev": "he_stddev = lambda fan_in: np.nan"},
    ),
    Case("inf_and_big", ("wrong", "ok", "ok"), {"mean": "mean = 10 ** 4000"}),
    Case("text_as_number", ("wrong", "ok", "ok"), {"mean": "mean = str(mine.mean())"}),
    Case(
        "daemon",
        OK,
        last="import os, time\n"
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        while True: time.sleep(1)\n    os._exit(0)",
        keras=True,
    ),
    Case(
        "signals",
        OK,
        first="import os, signal\n"
        "for s in range(1, 60):\n"
        "    try: signal.signal(s, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\n"
        "for pid in (1, os.getppid(), -1):\n"
        "    try: os.kill(pid, signal.SIGTERM)\n"
        "    except OSError: pass",
        keras=True,
    ),
    Case(
        "kills_itself",
        ("ok", "died", "ok"),
        {"stddev": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"},
    ),
    Case(
        "early_answer",
        ("ok", "error", "ok"),
        {
            "stddev": FIND_SOCKETS + FORGE + "for s in socks:\n"
            "    for _ in range(50): s.sendall(frame({'value': 1.0, 'nonce': 'a'}))\n"
        },
    ),
    Case(
        "steals_questions",
        ("ok", "timeout", "ok"),
        {
            "stddev": FIND_SOCKETS + FORGE + "import threading\n"
            "def thief(s):\n"
            "    while True: s.recv(9999)\n"
            "for s in socks: threading.Thread(target=thief, args=(s,),"
            " daemon=True).start()\nimport time; time.sleep(60)\n"
        },
    ),
    Case(
        "hangs_up",
        ("ok", "died", "ok"),
        {"stddev": "import os\nos.closerange(3, 256)\n" + STDDEV},
    ),
    Case(
        "floods_channel",
        ("ok", "error", "ok"),
        {
            "stddev": FIND_SOCKETS + "for s in socks: s.sendall(b'\\xff' * 9)\n",
        },
    ),
    Case(
        "giant_model",
        ("ok", "ok", "wrong"),
        {
            "network": "class Fake: pass\n"
            "def network(depth):\n"
            "    m = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8)])\n"
            "    real = type(m).get_config\n"
            "    def lie(self=None):\n"
            "        c = real(m)\n"
            "        c['layers'][1]['config']['units'] = 10 ** 9\n"
            "        return c\n"
            "    m.get_config = lie\n"
            "    return m"
        },
        keras=True,
    ),
    Case(
        "lambda_layer",
        ("ok", "ok", "wrong"),
        {
            "network": "def network(depth):\n"
            "    return keras.Sequential([keras.Input((4,)),"
            " keras.layers.Lambda(lambda x: x)])"
        },
        keras=True,
    ),
    Case(
        "module_in_config",
        ("wrong",) * 3,
        {
            "network": "from coursegrade.border import wire\n"
            "wire.encode = lambda v, d=0: {'!': 'keras', 'config': "
            "{'module': 'os', 'class_name': 'system', 'config': {'command': 'id'},"
            " 'registered_name': None}}\n"
            "def network(depth): return 1"
        },
        keras=True,
    ),
    Case(
        "huge_array",
        ("ok", "wrong", "ok"),
        {"stddev": "def he_stddev(fan_in):\n    return np.ones(10 ** 7)"},
    ),
    Case(
        "nested_list",
        ("wrong", "ok", "ok"),
        {"mean": "mean = []\nfor _ in range(500): mean = [mean]"},
    ),
    Case(
        "fills_disk",
        OK,
        last="for i in range(99):\n"
        "    with open(f'/tmp/{i}', 'wb') as f: f.write(bytes(2**26))",
        keras=True,
    ),
    Case(
        "leaks_input",
        ("ok", "error", "ok"),
        {
            "stddev": "def he_stddev(fan_in):\n"
            "    if fan_in > 2: raise ValueError(f'LEAK{fan_in}LEAK')\n"
            "    return 1.0"
        },
    ),
    Case(
        "leaks_by_type",
        ("ok", "wrong", "ok"),
        {
            "stddev": "def he_stddev(fan_in):\n"
            "    return 1.0 if fan_in == 2 else type(f'LEAK{fan_in}', (), {})()"
        },
    ),
    Case(
        "leaks_by_kind",
        ("ok", "error", "ok"),
        {
            "stddev": "from coursegrade.sandbox import room\n"
            "room._failure = lambda e: {'error': str(e), 'kind': str(e)}\n"
            "def he_stddev(fan_in):\n"
            "    if fan_in > 2: raise ValueError(f'LEAK{fan_in}')\n"
            "    return 1.0"
        },
    ),
    Case(
        "leaks_by_refusal",
        ("ok", "wrong", "ok"),
        {
            "stddev": "from coursegrade.sandbox import room\n"
            "real = room.Room.call\n"
            "def call(self, task, name, args, kwargs):\n"
            "    if name != 'he_stddev': return real(self, task, name, args, kwargs)\n"
            "    config = {'class_name': f'LEAK{args[0]}', 'module': 'keras.layers'}\n"
            "    return {'value': {'!': 'keras', 'config': config}}\n"
            "room.Room.call = call\n"
            "def he_stddev(fan_in): return 1.0"
        },
    ),
    Case(
        "leaks_by_status",
        ("ok", "died", "ok"),
        {
            "stddev": "import os\ndef he_stddev(fan_in):\n"
            "    if fan_in > 2: os._exit(77)\n    return 1.0"
        },
    ),
    Case(
        "script_in_message",
        ("ok", "error", "ok"),
        {"stddev": "raise ValueError('<script>alert(1)</script>\\n=HYPERLINK(1)')"},
    ),
    # Ordinary accidents: what is right from top to bottom is right.
    Case(
        "one_name_in_two_tasks",
        OK,
        {
            "stddev": "factor = 2\ndef he_stddev(fan_in):\n"
            "    return np.sqrt(factor / fan_in)",
            "network": "factor = 8\ndef network(depth):\n"
            "    hidden = [keras.layers.Dense(factor) for _ in range(depth)]\n"
            "    return keras.Sequential([keras.Input((4,)), *hidden])",
        },
        last="factor = None\ndef he_stddev(fan_in): return None",
        keras=True,
    ),
    Case("reset_at_the_end", OK, last="%reset -f", keras=True),
    Case("damaged_cells", OK, edit=_damaged_cells),
    Case("answer_below_its_test", ("ok", "missing", "ok"), edit=_answer_below_its_test),
    Case("answers_moved_up", OK, edit=_answers_moved_up, keras=True),
    Case(
        "returns_nothing",
        ("ok", "wrong", "ok"),
        {"stddev": "def he_stddev(fan_in):\n    np.sqrt(2 / fan_in)"},
    ),
    # What one task or a cell of no task leaves behind costs no other task.
    Case(
        "thread_that_exits",
        # it ends its own room after a time: before a task's end on a busy machine
        (EITHER, EITHER, EITHER),
        first="import os, threading\nthreading.Timer(0.7, os._exit, (0,)).start()",
        keras=True,
    ),
    Case(
        "left_running_and_open",
        OK,
        {
            "mean": "import subprocess, threading, time\n"
            "def rest():\n    while True: time.sleep(0.05)\n"
            "threading.Thread(target=rest).start()\n"
            "held = [open(f'/tmp/{i}', 'w') for i in range(100)]\n"
            "process = subprocess.Popen(['sleep', '99'])\n"
            "threading.Lock().acquire()\n" + MEAN,
            "stddev": "for i in range(10**5): print(i)\n" + STDDEV,
        },
    ),
    Case(
        "leaves_little",
        OK,
        last="import os, shutil, sys, warnings\n"
        "np.seterr(all='raise'); warnings.simplefilter('error')\n"
        "sys.settrace(lambda *a: None)\n"
        "for place in ('/tmp', '/dev/shm'):\n"
        "    open(place + '/sitecustomize.py', 'w').write('1 / 0')\n"
        "for _ in range(80):\n"
        "    try:\n        if os.fork() == 0: os._exit(0)\n    except OSError: pass\n"
        "os.chdir('/'); shutil.rmtree('/tmp', ignore_errors=True)\n"
        "sys.stdout.close(); sys.stderr.close(); os.closerange(0, 3)\n"
        "del np, mine, mean, he_stddev, network",
    ),
    Case(
        "name_that_is_no_text",
        OK,
        last="import ctypes, time\n"
        "ctypes.CDLL(None).prctl(15, b'\\xff\\xfe')\ntime.sleep(1)",
    ),
    Case(
        "leaks_by_kind_of_error",
        ("ok", "error", "ok"),
        {
            "stddev": "def he_stddev(fan_in):\n"
            "    if fan_in > 2: raise (KeyError, IndexError)[fan_in % 2](1)\n"
            "    return 1.0"
        },
    ),
]
