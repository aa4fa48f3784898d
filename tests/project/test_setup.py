"""scripts/setup.sh, with small shell scripts in the place of Python."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETUP = ROOT / "scripts" / "setup.sh"

# All that the script may need besides Python. A test's PATH holds these and
# the stand-ins, so that no Python of the machine is found.
TOOLS = ("dirname", "sh")

# The real Python answers `-c`, after a prelude that makes it look as wished.
STAND_IN = """\
#!/bin/sh
case "$*" in
*scripts/install.py*)
    echo "$0 $* path=${{PYTHONPATH-unset}} index=${{PIP_INDEX_URL-unset}}" >>{calls}
    case "$*" in *--refresh) exit $(($(cat {status}))) ;; esac
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


class Checkout:
    """A checkout in a folder whose name has a space, and a PATH of its own."""

    def __init__(self, tmp_path):
        self.root = tmp_path / "a course"
        self.bin = tmp_path / "bin"
        self.calls_file = tmp_path / "calls"
        self.status_file = tmp_path / "status"
        self.home = tmp_path / "home"
        for folder in (self.root / "scripts", self.bin, self.home):
            folder.mkdir(parents=True)
        shutil.copy(SETUP, self.root / "scripts")
        self.calls_file.write_text("")
        self.status_file.write_text("0")
        for tool in (*TOOLS, "cat"):
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.script("uname", "echo Linux")

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
                status=shlex.quote(str(self.status_file)),
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

    def venv(self, status):
        """Put a .venv there, in which install.py ends with a status."""
        (self.root / ".venv" / "bin").mkdir(parents=True)
        (self.root / ".venv" / ".installed").touch()
        hidden = self.python("hidden", (3, 12, 4))
        hidden.rename(self.root / ".venv" / "bin" / "python")
        self.status_file.write_text(str(status))

    @property
    def calls(self):
        """How install.py was started since the last look."""
        lines = self.calls_file.read_text().splitlines()
        self.calls_file.write_text("")
        return [line.partition(" path=")[0] for line in lines]


@pytest.fixture
def checkout(tmp_path):
    """Return a checkout in which nothing is installed."""
    return Checkout(tmp_path)


def test_one_range_of_python():
    """The script's, the package's, the README's and that of the checks."""
    script = re.search(r"\((\d), (\d+)\) <= .+ < \((\d), (\d+)\)", SETUP.read_text())
    major, first, _, end = map(int, script.groups())
    versions = [f"{major}.{minor}" for minor in range(first, end)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={versions[0]},<{major}.{end}"
    given = [kind.rpartition(" ")[2] for kind in project["classifiers"]]
    assert [kind for kind in given if re.fullmatch(r"3\.\d+", kind)] == versions
    text = f"{', '.join(versions[:-1])} or {versions[-1]}"
    assert f"Python {text}" in " ".join((ROOT / "README.md").read_text().split())
    assert f"Python {text}" in SETUP.read_text()
    checks = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert f'python: ["{versions[0]}", "{versions[-1]}"]' in checks


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


REFRESH = ".venv/bin/python -I -S scripts/install.py --refresh"


def test_starts_the_installation_with_what_it_found(checkout):
    python = checkout.python("python3", (3, 12, 4))
    result = checkout.run(
        PYTHONPATH="/elsewhere", PYTHONHOME="/elsewhere", PIP_INDEX_URL="https://mirror"
    )
    assert (result.returncode, result.stderr) == (0, "")
    start = f"{python} -E -s scripts/install.py"
    line = checkout.calls_file.read_text()
    assert line == f"{start} path=unset index=https://mirror\n"


@pytest.mark.parametrize("status", [0, 1, 130])
def test_an_environment_that_runs_is_asked_first(checkout, status):
    checkout.venv(status)
    assert checkout.run().returncode == status
    assert checkout.calls == [REFRESH]


def test_an_environment_that_must_be_made_anew(checkout):
    checkout.venv(75)
    python = checkout.python("python3", (3, 12, 4))
    assert checkout.run().returncode == 0
    assert checkout.calls == [REFRESH, f"{python} -E -s scripts/install.py"]


def test_an_environment_whose_python_is_gone(checkout):
    checkout.venv(0)
    inner = checkout.root / ".venv" / "bin" / "python"
    inner.unlink()
    inner.symlink_to("/no/such/python")
    python = checkout.python("python3", (3, 12, 4))
    assert checkout.run().returncode == 0
    assert checkout.calls == [f"{python} -E -s scripts/install.py"]


def test_a_chosen_python_comes_before_the_environment(checkout):
    checkout.venv(0)
    python = checkout.python("my-python", (3, 13, 1))
    assert checkout.run(PYTHON=str(python)).returncode == 0
    assert checkout.calls == [f"{python} -E -s scripts/install.py"]


def test_unknown_argument(checkout):
    result = checkout.run("--fnd")
    assert (result.returncode, checkout.calls) == (1, [])
    assert "unknown argument: --fnd" in result.stderr
