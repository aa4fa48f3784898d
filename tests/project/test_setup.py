"""scripts/setup.sh, with small shell scripts in the place of Python and pip."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[2] / "scripts" / "setup.sh"

# All that the script may need besides Python. A test's PATH holds these and
# the stand-ins, so that no Python of the machine is found.
TOOLS = "awk cat cp df dirname grep head mkdir mv rm sed sh sleep tail".split()
CHECKSUMS = "sha256sum shasum cksum".split()

# The real Python answers `-c`, after a prelude that makes it look as wished.
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
    echo "lock path=${{PYTHONPATH-unset}} index=${{PIP_INDEX_URL-unset}}" >>{calls}
    . {pip}
    exit
    ;;
*"-m pip install"*)
    echo package >>{calls}
    . {pip}
    exit
    ;;
esac
for code; do :; done
exec {real} -E -s -c "{prelude}
$code"
"""

PRELUDE = """\
import platform, sys
sys.executable = {executable!r}
sys.version_info = {version!r}
sys.prefix = sys.base_prefix
platform.system = lambda: {system!r}
platform.machine = lambda: {machine!r}
{extra}
"""

NO_VENV = "sys.modules['ensurepip'] = None"

NO_NETWORK = """\
echo "WARNING: Retrying (Retry(total=0)) after connection broken by \
'NewConnectionError(Failed to establish a new connection)': /simple/absl-py/"
echo 'ERROR: Could not find a version that satisfies the requirement absl-py==2.5.1'
echo 'ERROR: No matching distribution found for absl-py==2.5.1'
exit 1
"""

WRONG_HASH = """\
echo "WARNING: Retrying (Retry(total=1)) after connection broken by 'ReadTimeoutError'"
echo 'ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.'
echo '    absl-py==2.5.1 from -r requirements.txt (line 1):'
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
exit 2
"""


class Checkout:
    """A checkout in a folder whose name has a space, and a PATH of its own."""

    def __init__(self, tmp_path):
        self.root = tmp_path / "a course"
        self.bin = tmp_path / "bin"
        self.calls_file = tmp_path / "calls"
        self.pip_file = tmp_path / "pip.sh"
        self.home = tmp_path / "home"
        for folder in (self.root / "scripts", self.bin, self.home):
            folder.mkdir(parents=True)
        shutil.copy(SETUP, self.root / "scripts")
        (self.root / "requirements.txt").write_text("absl-py==2.5.1\nkeras==3.15.1\n")
        (self.root / "pyproject.toml").write_text("[project]\n")
        self.calls_file.write_text("")
        self.pip_file.write_text("exit 0\n")
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        checksum = next(filter(None, map(shutil.which, CHECKSUMS)))
        (self.bin / Path(checksum).name).symlink_to(checksum)
        self.script("uname", "echo Linux")
        room = "echo '/dev/my disk 90000000 1 80000000 1% /mnt/my disk'"
        self.script("df", f"echo 'Filesystem ...'\n{room}")

    def script(self, name, body):
        """Put a command on the PATH."""
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    def python(self, name, version, system="Linux", machine="x86_64", extra=""):
        """Put a stand-in for Python on the PATH."""
        path = self.bin / name
        prelude = PRELUDE.format(
            executable=str(path),
            version=version,
            system=system,
            machine=machine,
            extra=extra,
        )
        assert not set('"$`\\') & set(prelude), "the prelude is quoted by the shell"
        path.write_text(
            STAND_IN.format(
                calls=shlex.quote(str(self.calls_file)),
                pip=shlex.quote(str(self.pip_file)),
                real=shlex.quote(sys.executable),
                prelude=prelude,
            )
        )
        path.chmod(0o755)
        return path

    def command(self, *arguments):
        """Return the command line; run it from elsewhere, as anybody may."""
        return ["sh", str(self.root / "scripts" / "setup.sh"), *arguments]

    def environment(self, **changes):
        """Return an environment that has nothing of the machine's."""
        return {"PATH": str(self.bin), "HOME": str(self.home), **changes}

    def run(self, *arguments, **environment):
        """Run the script."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.home,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    @property
    def calls(self):
        """First words of what Python was asked to install since the last look."""
        lines = self.calls_file.read_text().splitlines()
        self.calls_file.write_text("")
        return [line.split()[0] for line in lines]

    @property
    def stamp(self):
        """The file that says that all is installed."""
        return self.root / ".venv" / ".installed"


@pytest.fixture
def checkout(tmp_path):
    """Return a checkout in which nothing is installed."""
    return Checkout(tmp_path)


def test_names_unsuitable_versions_and_what_to_install(checkout):
    checkout.python("python3", (3, 9, 18))
    checkout.python("python", (3, 14, 1))
    result = checkout.run()
    assert result.returncode == 1
    assert "found 3.9.18, 3.14.1." in result.stderr
    assert "uv python install 3.12" in result.stderr
    assert len(result.stderr.splitlines()) == 2
    assert not (checkout.root / ".venv").exists()


def test_no_python_at_all(checkout):
    result = checkout.run()
    assert result.returncode == 1
    assert "found none." in result.stderr
    assert "sudo apt install python3 python3-venv" in result.stderr


def test_hint_on_macos_is_homebrew(checkout):
    checkout.script("uname", "echo Darwin")
    checkout.python("python3", (3, 9, 6), system="Darwin", machine="arm64")
    result = checkout.run()
    assert result.returncode == 1
    assert "brew install python@3.12" in result.stderr
    assert "apt" not in result.stderr


def test_intel_python_on_macos_is_refused(checkout):
    checkout.script("uname", "echo Darwin")
    checkout.python("python3.12", (3, 12, 4), system="Darwin", machine="x86_64")
    result = checkout.run()
    assert result.returncode == 1
    first = result.stderr.splitlines()[0]
    assert "TensorFlow has no packages for Intel Python on macOS" in first
    assert "3.12.4 (x86_64)" in first


def test_chosen_python_must_suit(checkout):
    checkout.python("python3.12", (3, 12, 4))
    old = checkout.python("my-python", (3, 10, 2))
    result = checkout.run(PYTHON=str(old))
    assert result.returncode == 1
    assert f"PYTHON={old} is 3.10.2" in result.stderr
    assert checkout.calls == []


def test_chosen_python_must_run(checkout):
    result = checkout.run(PYTHON="/no/such/python")
    assert result.returncode == 1
    assert result.stderr == "setup: PYTHON=/no/such/python does not run.\n"


def test_a_command_that_only_pretends_is_skipped(checkout):
    checkout.script("python3.12", "echo 'command not found' >&2; exit 127")
    checkout.script("python3.13", "exit 0")
    wanted = checkout.python("python3.11", (3, 11, 9))
    result = checkout.run("--find")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{wanted}\n"


def test_prefers_312_then_313(checkout):
    checkout.python("python3.11", (3, 11, 9))
    newer = checkout.python("python3.13", (3, 13, 1))
    assert checkout.run("--find").stdout == f"{newer}\n"
    first = checkout.python("python3.12", (3, 12, 1))
    assert checkout.run("--find").stdout == f"{first}\n"


def test_finds_versions_of_pyenv(checkout):
    checkout.python("python3", (3, 9, 18))
    hidden = checkout.python("hidden", (3, 13, 1)).rename(checkout.home / "hidden")
    python = checkout.home / "my pyenv" / "versions" / "3.13.1" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(hidden)
    checkout.script("pyenv", f"echo '{checkout.home}/my pyenv'")
    result = checkout.run("--find")
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip().endswith("/hidden")


def test_missing_venv_module(checkout):
    checkout.python("python3.12", (3, 12, 4), extra=NO_VENV)
    result = checkout.run()
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "sudo apt install python3.12-venv" in result.stderr
    assert not (checkout.root / ".venv").exists()


def test_another_python_with_venv_is_taken(checkout):
    checkout.python("python3.12", (3, 12, 4), extra=NO_VENV)
    wanted = checkout.python("python3.11", (3, 11, 9))
    assert checkout.run("--find").stdout == f"{wanted}\n"


def test_installs_in_a_folder_with_a_space(checkout):
    checkout.python("python3", (3, 12, 4))
    result = checkout.run()
    assert result.returncode == 0, result.stderr
    assert checkout.calls == ["venv", "lock", "package"]
    assert checkout.stamp.is_file()
    assert str(checkout.root) in checkout.stamp.read_text()
    assert not (checkout.root / ".venv" / "tmp").exists()


def test_second_run_does_nothing(checkout):
    checkout.python("python3", (3, 12, 4))
    checkout.run()
    before = checkout.stamp.stat()
    assert checkout.calls
    result = checkout.run()
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert checkout.calls == []
    assert checkout.stamp.stat().st_mtime_ns == before.st_mtime_ns


def test_changed_lock_makes_the_environment_anew(checkout):
    checkout.python("python3", (3, 12, 4))
    checkout.run()
    leftover = checkout.root / ".venv" / "leftover"
    leftover.touch()
    (checkout.root / "requirements.txt").write_text("absl-py==2.5.2\n")
    assert checkout.calls
    checkout.run()
    assert checkout.calls == ["venv", "lock", "package"]
    assert not leftover.exists()


def test_changed_pyproject_installs_the_package_only(checkout):
    checkout.python("python3", (3, 12, 4))
    checkout.run()
    (checkout.root / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert checkout.calls
    checkout.run()
    assert checkout.calls == ["package"]
    checkout.run()
    assert checkout.calls == []


def test_failed_reinstallation_is_not_trusted(checkout):
    checkout.python("python3", (3, 12, 4))
    checkout.run()
    pyproject = checkout.root / "pyproject.toml"
    before = pyproject.read_text()
    pyproject.write_text("no toml\n")
    checkout.pip_file.write_text(UNKNOWN)
    assert checkout.run().returncode == 1
    # The text that the last good installation had: it still has to be repeated.
    pyproject.write_text(before)
    checkout.pip_file.write_text("exit 0\n")
    assert checkout.calls
    assert checkout.run().returncode == 0
    assert "package" in checkout.calls


def test_other_python_makes_the_environment_anew(checkout):
    checkout.python("python3", (3, 12, 4))
    other = checkout.python("my-python", (3, 13, 1))
    checkout.run()
    assert checkout.calls
    checkout.run(PYTHON=str(other))
    assert checkout.calls == ["venv", "lock", "package"]
    checkout.run()
    assert checkout.calls == []


def test_interpreter_that_is_gone(checkout):
    checkout.python("python3", (3, 12, 4))
    checkout.run()
    python = checkout.root / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/no/such/python")
    assert checkout.calls
    assert checkout.run().returncode == 0
    assert checkout.calls == ["venv", "lock", "package"]


def test_moved_folder(checkout):
    checkout.python("python3", (3, 12, 4))
    checkout.run()
    assert checkout.calls
    checkout.root = checkout.root.rename(checkout.root.with_name("moved course"))
    assert checkout.run().returncode == 0
    assert checkout.calls == ["venv", "lock", "package"]


@pytest.mark.parametrize(
    ("pip", "expected"),
    [
        (NO_NETWORK, ["could not be downloaded", "run the same command again"]),
        (WRONG_HASH, ["absl-py==2.5.1 is not the file", "hash"]),
        (DISK_FULL, ["the disk is full"]),
        (NO_WHEEL, ["offers no tensorflow==2.21.0", "Python 3.12.4"]),
        (UNKNOWN, ["pip stopped: ERROR: something that nobody foresaw"]),
    ],
    ids=["network", "hash", "disk", "wheel", "unknown"],
)
def test_failures_of_pip(checkout, pip, expected):
    checkout.python("python3", (3, 12, 4))
    checkout.pip_file.write_text(pip)
    result = checkout.run()
    assert result.returncode == 1
    for text in expected:
        assert text in result.stderr
    # One message of two lines, with pip's own words left to the log it names.
    assert len(result.stderr.splitlines()) == 2
    assert "Retrying" not in result.stdout + result.stderr
    log = checkout.root / ".venv" / "install.log"
    assert f"Log: {log}" in result.stderr
    assert "ERROR" in log.read_text()
    assert checkout.calls == ["venv", "lock"]
    assert not checkout.stamp.exists()

    checkout.pip_file.write_text("exit 0\n")
    assert checkout.run().returncode == 0
    assert checkout.calls == ["venv", "lock", "package"]
    assert checkout.stamp.exists()


def test_full_disk_is_seen_before_the_download(checkout):
    checkout.python("python3", (3, 12, 4))
    room = "echo '/dev/my disk 90000000 1 1200000 99% /mnt/my disk'"
    checkout.script("df", f"echo 'Filesystem ...'\n{room}")
    result = checkout.run()
    assert result.returncode == 1
    assert "1200 MB are free" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert checkout.calls == []


def test_environment_of_pip(checkout):
    checkout.python("python3", (3, 12, 4))
    elsewhere = {"PYTHONPATH": "/elsewhere", "PYTHONHOME": "/elsewhere"}
    result = checkout.run(PIP_INDEX_URL="https://mirror.example/simple", **elsewhere)
    assert result.returncode == 0, result.stderr
    assert (
        "lock path=unset index=https://mirror.example/simple"
        in checkout.calls_file.read_text()
    )


def test_interrupted_installation_is_not_trusted(checkout):
    checkout.python("python3", (3, 12, 4))
    checkout.pip_file.write_text("echo 'Collecting absl-py==2.5.1'\nsleep 60\n")
    process = subprocess.Popen(
        checkout.command(),
        env=checkout.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A runner in the background may have been started with it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 30
    while "lock" not in checkout.calls_file.read_text():
        assert time.monotonic() < deadline, "pip was not started"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    error = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert error == "setup: interrupted; run the same command again to finish.\n"
    assert not checkout.stamp.exists()

    checkout.pip_file.write_text("exit 0\n")
    assert checkout.calls
    assert checkout.run().returncode == 0
    assert checkout.calls == ["venv", "lock", "package"]
