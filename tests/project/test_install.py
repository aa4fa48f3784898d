"""scripts/install.py, with a small shell script in the place of Python and pip."""

import io
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import install

# As `python -m venv` and as the Python and pip in .venv.
STAND_IN = """\
#!/bin/sh
case "$*" in
*"-m venv"*)
    echo venv >>{calls}
    mkdir -p .venv/bin
    cp "$0" .venv/bin/python
    exit
    ;;
*"-m pip install --require-hashes"*)
    echo "lock $(env | grep -E '^(PYTHON|PIP_|TMPDIR)' | sort | tr '\\n' ' ')" >>{calls}
    . {pip}
    exit
    ;;
*"-m pip install"*)
    echo package >>{calls}
    . {pip}
    exit
    ;;
esac
echo {version}
"""

NO_NETWORK = """\
echo "WARNING: Retrying (Retry(total=0)) after connection broken by \
'NewConnectionError(Failed to establish a new connection)': /simple/absl-py/"
echo 'ERROR: Could not find a version that satisfies the requirement absl-py==2.5.1'
echo 'ERROR: No matching distribution found for absl-py==2.5.1'
exit 1
"""

CERTIFICATE = """\
echo "WARNING: Retrying after connection broken by 'SSLError(1, CERTIFICATE_VERI...)'"
echo 'ERROR: No matching distribution found for absl-py==2.5.1'
exit 1
"""

WRONG_HASH = """\
echo "WARNING: Retrying (Retry(total=1)) after connection broken by 'ReadTimeoutError'"
echo 'ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.'
echo '    absl-py==2.5.1 from -r requirements.txt (line 1):'
exit 1
"""

INCOMPLETE = """\
echo 'ERROR: In --require-hashes mode, all requirements must have their versions \
pinned with ==. These do not:'
echo '    tomlkit>=0.11.1 from https://mirror/x.whl (from hatchling==1.33.0)'
exit 1
"""

DISK_FULL = """\
echo 'ERROR: Could not install packages due to an OSError: [Errno 28] No space left'
exit 1
"""

NO_WHEEL = """\
echo 'ERROR: No matching distribution found for tensorflow==2.21.0'
exit 1
"""

UNKNOWN = """\
echo 'ERROR: something that nobody foresaw'
echo 'a last word'
exit 2
"""

REAL = sys.executable
ALL = ["venv", "lock", "package"]


class Checkout:
    """A checkout in a folder whose name has a space, with stand-ins for Python."""

    def __init__(self, tmp_path, monkeypatch):
        self.root = tmp_path / "a course"
        self.calls_file = tmp_path / "calls"
        self.pip_file = tmp_path / "pip.sh"
        self.monkeypatch = monkeypatch
        (self.root / "scripts").mkdir(parents=True)
        (self.root / "requirements.txt").write_text("absl-py==2.5.1\nkeras==3.15.1\n")
        (self.root / "pyproject.toml").write_text("[project]\n")
        self.calls_file.touch()
        self.pip_file.write_text("exit 0\n")
        self.python = tmp_path / "python"
        self.choose("3.12.4")

    def choose(self, version):
        """Let the installation run in a Python of this version."""
        text = STAND_IN.format(
            calls=shlex.quote(str(self.calls_file)),
            pip=shlex.quote(str(self.pip_file)),
            version=version,
        )
        self.python.write_text(text)
        self.python.chmod(0o755)
        self.monkeypatch.setattr(sys, "executable", str(self.python))
        self.monkeypatch.setattr(platform, "python_version", lambda: version)

    def run(self, *arguments):
        """Install; return the status and what was called."""
        status = install.main(list(arguments), self.root)
        lines = self.calls_file.read_text().splitlines()
        self.calls_file.write_text("")
        return status, [line.split()[0] for line in lines]

    @property
    def stamp(self):
        """The file that says that all is installed."""
        return self.root / ".venv" / ".installed"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Return a checkout in which nothing is installed."""
    return Checkout(tmp_path, monkeypatch)


def test_installs_in_a_folder_with_a_space(checkout, capsys):
    assert checkout.run() == (0, ALL)
    lines = checkout.stamp.read_text().splitlines()
    assert lines[0].startswith(f"Python 3.12 in {checkout.root} with ")
    assert lines[0].endswith("  requirements.txt") and len(lines) == 2
    assert not (checkout.root / ".venv" / "tmp").exists()
    out = capsys.readouterr().out
    assert "making .venv with Python 3.12.4" in out and "2.7 GB" in out
    assert out.endswith("done: .venv has Python 3.12.4 and all packages.\n")


@pytest.mark.parametrize("arguments", [[], ["--refresh"]])
def test_second_run_does_nothing(checkout, arguments, capsys):
    checkout.run()
    before = checkout.stamp.stat()
    capsys.readouterr()
    assert checkout.run(*arguments) == (0, [])
    assert capsys.readouterr() == ("", "")
    assert checkout.stamp.stat().st_mtime_ns == before.st_mtime_ns


def changed_lock(checkout):
    (checkout.root / "requirements.txt").write_text("absl-py==2.5.2\n")


def other_python(checkout):
    checkout.choose("3.13.1")


def moved_folder(checkout):
    checkout.root = checkout.root.rename(checkout.root.with_name("moved course"))


def no_stamp(checkout):
    checkout.stamp.unlink()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (changed_lock, "the packages, the Python or the folder changed"),
        (other_python, "the packages, the Python or the folder changed"),
        (moved_folder, "the packages, the Python or the folder changed"),
        (no_stamp, "the last installation did not finish"),
    ],
)
def test_what_makes_the_environment_anew(checkout, change, why, capsys):
    checkout.run()
    leftover = checkout.root / ".venv" / "leftover"
    leftover.touch()
    change(checkout)
    # Its own Python cannot; nothing is lost, nothing is said.
    capsys.readouterr()
    assert checkout.run("--refresh") == (install.ANEW, [])
    assert capsys.readouterr() == ("", "")
    assert (checkout.root / ".venv" / "leftover").exists()
    assert checkout.run() == (0, ALL)
    assert why in capsys.readouterr().out
    assert not (checkout.root / ".venv" / "leftover").exists()
    assert checkout.run() == (0, [])


@pytest.mark.parametrize("how", ["link", "program"])
def test_interpreter_that_is_gone(checkout, how, capsys):
    checkout.run()
    python = checkout.root / ".venv" / "bin" / "python"
    python.unlink()
    if how == "link":
        python.symlink_to("/no/such/python")
    else:
        python.write_text("#!/bin/sh\nexit 1\n")
        python.chmod(0o755)
    assert checkout.run() == (0, ALL)
    assert "the Python of .venv is gone" in capsys.readouterr().out


def test_a_link_in_the_place_of_the_environment(checkout, tmp_path):
    """Somebody else's folder stays as it is."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").touch()
    (checkout.root / ".venv").symlink_to(other)
    assert checkout.run() == (0, ALL)
    assert list(other.iterdir()) == [other / "file"]


@pytest.mark.parametrize("arguments", [[], ["--refresh"]])
def test_changed_pyproject_installs_the_package_only(checkout, arguments):
    checkout.run()
    (checkout.root / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert checkout.run(*arguments) == (0, ["package"])
    assert checkout.run(*arguments) == (0, [])


def test_failed_reinstallation_is_not_trusted(checkout):
    checkout.run()
    pyproject = checkout.root / "pyproject.toml"
    before = pyproject.read_text()
    pyproject.write_text("no toml\n")
    checkout.pip_file.write_text(UNKNOWN)
    assert checkout.run()[0] == 1
    # The text that the last good installation had: it still has to be repeated.
    pyproject.write_text(before)
    checkout.pip_file.write_text("exit 0\n")
    status, calls = checkout.run()
    assert status == 0 and "package" in calls


@pytest.mark.parametrize(
    ("pip", "expected"),
    [
        (NO_NETWORK, ["could not be downloaded.", "run the same command again"]),
        (CERTIFICATE, ["secure connection was refused", "global.cert FILE"]),
        (WRONG_HASH, ["absl-py==2.5.1 is not the file", "hash"]),
        (INCOMPLETE, ["requirements.txt lacks tomlkit>=0.11.1", "make lock"]),
        (DISK_FULL, ["the disk is full; about 4.5 GB"]),
        (NO_WHEEL, ["offers no tensorflow==2.21.0", "Python 3.12.4"]),
        (UNKNOWN, ["pip stopped: ERROR: something that nobody foresaw"]),
        ("exit 1", ["pip stopped: no reason given"]),
    ],
    ids=[
        "network",
        "certificate",
        "hash",
        "incomplete",
        "disk",
        "wheel",
        "unknown",
        "silent",
    ],
)
def test_failures_of_pip(checkout, pip, expected, capsys):
    checkout.pip_file.write_text(pip)
    assert checkout.run() == (1, ["venv", "lock"])
    out, error = capsys.readouterr()
    for text in expected:
        assert text in error
    # One message of two lines, with pip's own words left to the log it names.
    assert len(error.splitlines()) == 2
    assert "Retrying" not in out + error
    log = checkout.root / ".venv" / "install.log"
    assert f"Log: {log}" in error
    assert ("ERROR" in log.read_text()) == ("ERROR" in pip)
    assert not checkout.stamp.exists()

    checkout.pip_file.write_text("exit 0\n")
    assert checkout.run() == (0, ALL)
    assert checkout.stamp.exists()


def test_a_failure_of_venv(checkout, capsys):
    checkout.python.write_text("#!/bin/sh\necho 'Error: no permission' >&2\nexit 1\n")
    assert checkout.run() == (1, [])
    error = capsys.readouterr().err
    assert f"could not make .venv with {checkout.python}: Error: no perm" in error
    assert f"Log: {checkout.root}/.venv/install.log" in error


def test_full_disk_is_seen_before_the_download(checkout, monkeypatch, capsys):
    usage = shutil.disk_usage(checkout.root)._replace(free=1_200_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert checkout.run() == (1, [])
    error = capsys.readouterr().err
    assert "1200 MB are free" in error and len(error.splitlines()) == 1


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml"])
def test_a_folder_that_is_no_checkout(checkout, name, capsys):
    (checkout.root / name).unlink()
    assert checkout.run() == (1, [])
    assert f"there is no {name} in {checkout.root}" in capsys.readouterr().err


def test_environment_of_pip(checkout, monkeypatch):
    for name in install.ELSEWHERE:
        monkeypatch.setenv(name, "/elsewhere")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    assert install.main([], checkout.root) == 0
    lines = checkout.calls_file.read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("lock ")]
    assert "PIP_INDEX_URL=https://mirror.example/simple " in line
    assert "PIP_USER=0 " in line and "/elsewhere" not in line
    assert f"TMPDIR={checkout.root}/.venv/tmp" in line


def test_interrupted_installation_is_not_trusted(checkout):
    checkout.pip_file.write_text("echo 'Collecting absl-py==2.5.1'\nexec sleep 60\n")
    shutil.copy(install.__file__, checkout.root / "scripts")
    script = checkout.root / "scripts" / "install.py"
    code = f"""
import runpy, sys
sys.executable = {str(checkout.python)!r}
runpy.run_path({str(script)!r}, run_name="__main__")
"""
    process = subprocess.Popen(
        [REAL, "-c", code],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A runner in the background may have been started with it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while "lock" not in checkout.calls_file.read_text():
        assert time.monotonic() < deadline, "pip was not started"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert error == "setup: interrupted; run the same command again to finish.\n"
    assert not checkout.stamp.exists()

    checkout.pip_file.write_text("exit 0\n")
    checkout.calls_file.write_text("")
    assert checkout.run() == (0, ALL)


PIP = """\
Collecting absl-py==2.5.1 (from -r requirements.txt (line 1))
  Downloading absl_py-2.5.1-py3-none-any.whl.metadata (3.3 kB)
Collecting colorama==0.4.6; sys_platform == "win32" (from -r requirements.txt (line 9))
  Using cached colorama-0.4.6-py3-none-any.whl
Processing ./some-where/keras-3.15.1-py3-none-any.whl (from -r requirements.txt)
  Downloading https://my-mirror/a-b/tensorflow-2.21.0-cp312-linux.whl (600.1 MB)
Requirement already satisfied: pip in ./.venv
Installing collected packages: absl-py, keras, tensorflow
Installing collected packages: gradient-coursekit
Successfully installed absl-py-2.5.1
"""
SHOWN = [
    "1 of about 140: absl-py==2.5.1",
    "2 of about 140: colorama==0.4.6",
    "3 of about 140: keras-3.15.1-py3-none-any.whl",
    "3 of about 140: tensorflow 2.21.0 (600.1 MB)",
    "unpacking into .venv ...",
]


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self):
        """Say that somebody looks."""
        return True


def test_progress_in_a_terminal():
    progress = install.Progress(140, out := Terminal())
    for line in PIP.splitlines():
        progress.read(line)
    progress.close()
    assert out.getvalue().split("\r\033[K  ") == [
        "",
        *SHOWN[:-1],
        f"{SHOWN[-1]}\r\033[K",
    ]


def test_progress_in_a_log():
    progress = install.Progress(140, out := io.StringIO())
    for number in range(1, 46):
        progress.read(f"Collecting name{number}==1")
        progress.read(f"  Downloading name{number}-1-py3-none-any.whl (1 kB)")
    for line in PIP.splitlines():
        progress.read(line)
    progress.close()
    assert out.getvalue().splitlines() == [
        "  20 of about 140: name20==1",
        "  40 of about 140: name40==1",
        "  unpacking into .venv ...",
    ]


def test_the_count_is_that_of_the_lock():
    root = Path(install.__file__).parents[1]
    assert 120 <= install.Environment(root).count <= 180
