"""Make .venv: the packages of requirements.txt and this package, nothing else.

    python scripts/install.py                       .venv gets this Python
    .venv/bin/python scripts/install.py --refresh   keep it, or end with 75

scripts/setup.sh finds the Python and starts this. Nothing happens when all is there.
The file .venv/.installed is written last and says what was installed; without it, or
when it says something else, .venv is made anew. pip's own settings (proxy, index)
count. No more than the standard library is needed.
"""

import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# .venv must be made anew, which its own Python cannot.
ANEW = 75
NEEDED_GB = 4.5
# The variables that would send the packages somewhere else than into .venv.
ELSEWHERE = "PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX PIP_ROOT PIP_USER".split()

CONNECTION = (
    "connection (broken|refused|reset|aborted|timed out)|NewConnectionError"
    "|name resolution|name or service not known|nodename nor servname|timed out"
    "|TimeoutError|ProxyError|to proxy|max retries|RemoteDisconnected|IncompleteRead"
    "|ProtocolError|unreachable|HTTP error|(Server|Client) Error|HTTPError"
)
# What pip says; what was the matter; what helps. The first that fits counts: after a
# broken connection, pip also says that it found no version.
REASONS = (
    (
        "Hashes are required|must have their versions pinned",
        "requirements.txt lacks {package} or its hash; nothing was installed.",
        "After a change in requirements.in: make lock",
    ),
    (
        "DO NOT MATCH THE HASHES",
        "{package} is not the file that requirements.txt names (its hash differs); "
        "nothing was installed.",
        "If requirements.txt is unchanged, run this again after: "
        ".venv/bin/python -m pip cache purge",
    ),
    (
        "No space left on device|Errno 28|Disk quota exceeded",
        "the disk is full; about {needed} GB are needed.",
        "Make room, then run the same command again.",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED|SSLError",
        "the packages could not be downloaded: the secure connection was refused "
        "(a proxy with a certificate of its own?).",
        "Tell pip about the certificate (pip config set global.cert FILE), "
        "then run the same command again.",
    ),
    (
        CONNECTION,
        "the packages could not be downloaded.",
        "Check the connection (or the proxy) and run the same command again; "
        "finished downloads are kept in pip's cache.",
    ),
    (
        "Could not find a version|No matching distribution",
        "the package index offers no {missing} for this machine and Python {version}.",
        "Check pip's index settings (pip config list), "
        "or choose another Python: PYTHON=python3.12",
    ),
)


class Stopped(Exception):
    """Why there is no .venv, in lines for a person."""


# --- what is there already ----------------------------------------------------


class Environment:
    """The folder .venv of a checkout, and the stamp that says what it holds."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.python = self.folder / "bin" / "python"
        self.stamp = self.folder / ".installed"
        for name in ("requirements.txt", "pyproject.toml"):
            if not (root / name).is_file():
                raise Stopped(f"there is no {name} in {root}")
        self.lock = checksum(root / "requirements.txt")
        self.package = checksum(root / "pyproject.toml")

        names = re.findall(r"^[\w.-]+==", (root / "requirements.txt").read_text(), re.M)
        self.count = round(len(names), -1)

    def contents(self, version: str) -> list[str]:
        """Return the stamp's lines for a Python: the environment, the package."""
        minor = ".".join(version.split(".")[:2])
        return [f"Python {minor} in {self.root} with {self.lock}", self.package]

    def stale(self, wanted: str, found: str) -> str:
        """Return what must be done: "", "package", or why .venv must be made anew.

        Given the Python that it should have and the one that it has, or "".
        """
        if not self.folder.exists():
            return "missing"
        if not self.stamp.is_file():
            return "the last installation did not finish: starting over"
        if not found:
            return "the Python of .venv is gone: making .venv anew"
        base, package = self.contents(wanted)
        stamp = [*self.stamp.read_text(encoding="utf-8").splitlines(), "", ""]
        if stamp[0] != base:
            return "the packages, the Python or the folder changed: making .venv anew"
        return "" if stamp[1] == package else "package"

    def version(self) -> str:
        """Return the version of the Python in .venv; "" when it does not run."""
        code = "import platform; print(platform.python_version())"
        try:
            done = subprocess.run(
                [self.python, "-I", "-S", "-c", code],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
        except OSError:
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    def finish(self, version: str) -> None:
        """Write the stamp, in one step."""
        new = self.stamp.with_name(".installed.new")
        new.write_text("\n".join(self.contents(version)) + "\n", encoding="utf-8")
        new.replace(self.stamp)


def checksum(path: Path) -> str:
    """Return the line that `sha256sum` prints for a file in its folder."""
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}"


# --- pip ----------------------------------------------------------------------


def surroundings(**more: str) -> dict[str, str]:
    """Return the user's variables, without those that lead out of .venv."""
    kept = {name: text for name, text in os.environ.items() if name not in ELSEWHERE}
    return kept | {"PIP_USER": "0"} | more


class Progress:
    """How far pip is: one line that changes, or few lines in a log."""

    def __init__(self, total: int, out=None) -> None:
        self.total = total
        self.out = out or sys.stdout
        self.seen = 0
        self.live = self.out.isatty()

    def read(self, line: str) -> None:
        """Take a line of pip's output."""
        text = self.text(line)
        # One line in twenty is enough for a log.
        rare = self.seen % 20 == 0 and "Downloading" not in line
        if text and self.live:
            self._print(f"\r\033[K  {text[:74]}")
        elif text and (rare or not text[0].isdigit()):
            self._print(f"  {text}\n")

    def text(self, line: str) -> str:
        """Return what a line of pip's says to a person, or nothing."""
        found = re.match(r"(?:Collecting|Processing) (.+?)(?: \(from.*|;.*)?$", line)
        if found:
            self.seen += 1
            return self._of_all(found[1].rpartition("/")[2])
        # name-version-and-the-rest.whl (size)
        file = r"Downloading (?:\S*/)?([^/\s-]+)-([^\s-]+)\S* (\(.*)"
        found = re.search(file, line)
        if found and ".metadata" not in line:
            return self._of_all(" ".join(found.groups()))
        if re.match("Installing collected packages: .*,", line):
            return "unpacking into .venv ..."
        return ""

    def close(self) -> None:
        """Leave an empty line to whoever prints next."""
        if self.live:
            self._print("\r\033[K")

    def _of_all(self, text: str) -> str:
        return f"{self.seen} of about {self.total}: {text}"

    def _print(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()


def run_pip(venv: Environment, log: Path, version: str, *arguments: str) -> None:
    """Run `pip install`, with its output in a log; say in two lines why it failed."""
    progress = Progress(venv.count)
    (venv.folder / "tmp").mkdir(exist_ok=True)
    quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    process = subprocess.Popen(
        [venv.python, "-m", "pip", "install", *arguments, *quiet],
        cwd=venv.root,
        # Unpacked packages are large, and /tmp may be small.
        env=surroundings(TMPDIR=str(venv.folder / "tmp")),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    try:
        with log.open("w", encoding="utf-8") as file:
            for line in process.stdout:
                file.write(line)
                file.flush()
                progress.read(line.rstrip("\n"))
        if process.wait() != 0:
            raise Stopped(*explain(log, version))
    finally:
        progress.close()
        # Of use when this was interrupted: pip must not go on alone.
        process.terminate()
        process.wait()


def explain(log: Path, version: str) -> tuple[str, str]:
    """Return what stopped pip and what helps, or its last word."""
    text = log.read_text(encoding="utf-8")
    other = re.search(r"^    ([\w.-]+[=<>]=[^\s;]+) from .*", text, re.M)
    missing = re.search("^ERROR: No matching distribution found for (.+)", text, re.M)
    words = {
        "package": other[1] if other else "a package",
        "missing": missing[1].split()[0] if missing else "package",
        "needed": NEEDED_GB,
        "version": version,
    }
    for pattern, what, cure in REASONS:
        if re.search(pattern, text, re.I):
            return f"{what.format(**words)} Log: {log}", cure
    return f"pip stopped: {last_word(text)}", f"Log: {log}"


def last_word(text: str) -> str:
    """Return the last line that begins with `error`, or else the last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return [*lines, *errors][-1] if lines else "no reason given"


# --- installing ---------------------------------------------------------------


def need_space(root: Path) -> None:
    """Stop before a download that the disk has no room for."""
    free = shutil.disk_usage(root).free
    if free < NEEDED_GB * 1e9:
        raise Stopped(
            f"not enough room on the disk: about {NEEDED_GB} GB are needed, "
            f"{free // 10**6} MB are free in {root}"
        )


def make(venv: Environment, python: str, version: str) -> None:
    """Make .venv with the packages of the lock."""
    if venv.folder.is_symlink():
        venv.folder.unlink()
    shutil.rmtree(venv.folder, ignore_errors=True)
    need_space(venv.root)
    venv.folder.mkdir()
    say(f"making .venv with Python {version} ({python})")
    log = venv.folder / "install.log"
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run(
            [python, "-E", "-s", "-m", "venv", ".venv"],
            cwd=venv.root,
            env=surroundings(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    if done.returncode != 0:
        last = last_word(log.read_text(encoding="utf-8", errors="replace"))
        raise Stopped(f"could not make .venv with {python}: {last}", f"Log: {log}")
    say(
        f"Installing about {venv.count} packages (about 2.7 GB on disk, TensorFlow "
        "most of it) into .venv; this takes a few minutes ..."
    )
    # The lock is whole, and has a built package for every machine and Python
    # allowed here.
    lock = ["--require-hashes", "--no-deps", "--only-binary", ":all:"]
    lock += ["--retries", "2"]
    run_pip(venv, log, version, *lock, "-r", "requirements.txt")


def install(root: Path, refresh: bool) -> int:
    """Bring .venv up to date; return the status that the process ends with."""
    venv = Environment(root)
    version = platform.python_version()
    found = version if refresh else venv.version()
    todo = venv.stale(version, found)
    if not todo:
        return 0
    if refresh and todo != "package":
        return ANEW
    if todo == "package":
        say("pyproject.toml changed: installing the package anew")
    elif todo != "missing":
        say(todo)
    # From here on, what is there is not to be trusted until all is done.
    venv.stamp.unlink(missing_ok=True)
    if todo != "package":
        make(venv, sys.executable, version)
    log = venv.folder / "package.log"
    run_pip(venv, log, version, "--no-deps", "--no-build-isolation", "-e", ".")
    shutil.rmtree(venv.folder / "tmp")
    venv.finish(version)
    say(f"done: .venv has Python {version} and all packages.")
    return 0


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"setup: {text}", flush=True)


def interrupt(number, frame) -> None:
    """Take the end of a terminal for what Ctrl-C is."""
    raise KeyboardInterrupt


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Install; say why not, in at most two lines."""
    try:
        return install(root, "--refresh" in arguments)
    except Stopped as error:
        print("setup: " + "\n       ".join(error.args), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        again = "interrupted; run the same command again to finish."
        print(f"setup: {again}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(_number, interrupt)
    sys.exit(main(sys.argv[1:]))
