"""What can be said of `.github/workflows` without GitHub."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def read(path) -> dict:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    # YAML 1.1 takes the key `on` for a truth value.
    workflow["on"] = workflow.pop(True)
    return workflow


def named(stem: str) -> dict:
    return read(ROOT / ".github" / "workflows" / f"{stem}.yml")


def scripts(workflow: dict) -> list[str]:
    jobs = workflow["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


def script(workflow: dict, part: str) -> str:
    (found,) = [text for text in scripts(workflow) if part in text]
    return found


@each_workflow
def test_limits(path):
    workflow = read(path)
    assert workflow["concurrency"]["cancel-in-progress"] is True
    assert workflow["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 60 for job in workflow["jobs"].values())


@each_workflow
def test_actions_have_a_major_version(path):
    jobs = read(path)["jobs"].values()
    used = [step["uses"] for job in jobs for step in job["steps"] if "uses" in step]
    assert used and all(re.fullmatch(r"actions/[\w-]+@v\d+", name) for name in used)


@each_workflow
def test_make_targets_exist(path):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    text = "\n".join(scripts(read(path)))
    used = set(re.findall(r"^make ([a-z]+)", text, re.MULTILINE))
    assert {"book", "test"} <= used <= targets


@each_workflow
def test_files_exist(path):
    text = path.read_text(encoding="utf-8")
    names = set(re.findall(r"\.(?:github|ci)/[\w./-]*\w", text))
    names |= set(re.findall(r"cache-dependency-path: (.+)", text))
    assert names and all((ROOT / name).is_file() for name in names)


def commands(path) -> list[str]:
    """Return the lines of a shell script that are run with `timed`."""
    text = path.read_text(encoding="utf-8")
    return re.findall(r"^timed (.+)$", text, re.MULTILINE)


@each_workflow
def test_one_way_to_prepare_a_machine(path):
    """Here, on GitHub and in a fresh clone: the same script, before anything else."""
    steps = [line for text in scripts(read(path)) for line in text.splitlines()]
    assert steps[0] == "bash .ci/packages"
    ours = commands(ROOT / ".ci" / "run")
    assert ours == ["bash .ci/packages", "make book", "make test"]
    assert [line for line in steps if line in ours] == ours
    for file in [path, ROOT / ".ci" / "run"]:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"apt-get|sysctl|apt\.txt", text)


def prepare(folder, *commands, limit="0", user="0") -> list[str]:
    """Run .ci/packages with stand-ins; return what it would change."""
    shutil.copytree(ROOT / ".ci", folder / "a clone" / ".ci")
    programs = folder / "bin"
    programs.mkdir()
    stand_ins = {name: 'echo "$(basename "$0") $*" >>"$CALLS"' for name in commands}
    stand_ins |= {
        "apt-get": 'echo "apt-get $*" >>"$CALLS"',
        "sudo": 'echo sudo >>"$CALLS"; exec "$@"',
        "id": f"echo {user}",
        "sysctl": f'[ $1 = -n ] && echo {limit} || echo "sysctl $*" >>"$CALLS"',
    }
    for name, text in stand_ins.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    for name in ("bash", "sh", "env", "dirname"):
        (programs / name).symlink_to(shutil.which(name))
    calls = folder / "calls"
    calls.touch()
    run("bash .ci/packages", folder / "a clone", PATH=str(programs), CALLS=str(calls))
    return calls.read_text().splitlines()


def test_packages_of_debian(tmp_path):
    update, install = prepare(tmp_path)
    assert update == "apt-get update -qq"
    assert {"chromium", "bubblewrap"} <= set(install.split())
    assert "--no-install-recommends" in install


def test_packages_on_githubs_runner(tmp_path):
    """It has Chrome, a user who is not root, and Ubuntu's ban on namespaces."""
    calls = prepare(tmp_path, "google-chrome", limit="1", user="1001")
    assert calls[0::2] == ["sudo"] * 3
    assert "bubblewrap" in calls[3].split() and "chromium" not in calls[3]
    ban = "kernel.apparmor_restrict_unprivileged_userns"
    assert calls[5] == f"sysctl -q -w {ban}=0"


def test_checks_run_on_both_ends_of_the_range():
    workflow = named("ci")
    assert {"push", "pull_request"} <= workflow["on"].keys()
    (job,) = workflow["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.13"]
    assert job["env"]["PYTHON"] == "python"


def test_only_who_must_may_write():
    rights = {
        f"{path.stem}.{name}": job["permissions"]
        for path in WORKFLOWS
        for name, job in read(path)["jobs"].items()
        if "permissions" in job
    }
    assert rights == {
        "publish.publish": {"contents": "write"},
        "weekly.report": {"issues": "write"},
    }


def test_weekly_check():
    workflow = named("weekly")
    (time,) = workflow["on"]["schedule"]
    assert re.fullmatch(r"\d+ \d+ \* \* \d", time["cron"])
    check = workflow["jobs"]["check"]
    runs = check["strategy"]["matrix"]["include"]
    files = [one.get("constraints", "") for one in runs]
    assert files == ["", "", ".github/constraints/colab.txt"]
    assert [one.get("prerelease") for one in runs] == [None, "allow", None]
    assert "matrix.prerelease" in check["env"]["UV_PRERELEASE"]
    overrides = [one.get("overrides", "") for one in runs]
    assert overrides == ["", ".github/constraints/candidates.txt", ""]
    assert "matrix.overrides" in check["env"]["UV_OVERRIDE"]
    assert (ROOT / overrides[1]).exists()
    assert [one.get("pip_check") for one in runs] == [None, "true", None]
    assert "matrix.pip_check" in check["env"]["PIP_CHECK"]
    assert workflow["jobs"]["report"]["needs"] == "check"


def run(text: str, folder: Path, **variables) -> str:
    """Run a step as the runner does; return what it prints."""
    shell = [
        shutil.which("bash"),
        "--noprofile",
        "--norc",
        "-eo",
        "pipefail",
        "-c",
        text,
    ]
    environment = os.environ | variables
    done = subprocess.run(
        shell, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("times", [1, 2])
def test_what_is_published(tmp_path, times):
    """The branch is the folder that was tested, and nothing of the sources."""
    remote, clone = tmp_path / "remote.git", tmp_path / "clone"
    run(
        f"""
        git init --quiet --bare -b main "{remote}"
        git clone --quiet "{remote}" "{clone}" 2>/dev/null; cd "{clone}"
        mkdir -p book _build/html/book _build/html/notebooks _build/notebooks
        echo /_build/ >.gitignore; touch book/page.md
        git -c user.name=a -c user.email=a@example.org add .
        git -c user.name=a -c user.email=a@example.org commit --quiet -m source
        git push --quiet origin HEAD
        touch _build/html/index.html _build/html/book/page.html _build/html/.nojekyll
        touch _build/html/notebooks/page.ipynb _build/notebooks/not-this.ipynb
        """,
        tmp_path,
    )
    publish = script(named("publish"), "gh-pages")
    for count in range(times):
        if count:
            run("git checkout -q -f main; git branch -q -D gh-pages", clone)
        run(publish, clone, GITHUB_SHA=f"sha{count}")
    names = run("git ls-tree -r --name-only gh-pages", remote).split()
    pages = [".nojekyll", "book/page.html", "index.html", "notebooks/page.ipynb"]
    assert names == pages
    log = run("git log --format=%s gh-pages", remote).splitlines()
    assert log == [f"The book of sha{times - 1}"]


@pytest.mark.parametrize(("number", "verb"), [("", "create"), ("7", "comment 7")])
def test_one_open_issue(tmp_path, number, verb):
    text = script(named("weekly"), "gh issue")
    gh = tmp_path / "gh"
    gh.write_text(
        f'#!/bin/sh\ncase "$2" in list) echo {number};; *) echo "$@";; esac\n'
    )
    gh.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    printed = run(text, tmp_path, PATH=path, TITLE="A title", RUN="https://run")
    assert printed.startswith(f"issue {verb} ") and "https://run" in printed
    assert printed.count("issue ") == 1


def test_nobody_installs_the_other_coursekit():
    """Under the import name, the index has somebody else's package."""
    folders = [".ci", ".github", "assignments", "benchmarks", "book", "scripts", "src"]
    paths = [path for path in ROOT.glob("*") if path.is_file()]
    for folder in [*folders, "tests"]:
        paths += (ROOT / folder).rglob("*.*")
    wrong = re.compile(r"pip3? install [^\n]*coursekit(?! @)", re.IGNORECASE)
    for path in paths:
        if path.is_file() and path.suffix != ".pyc":
            text = path.read_text(encoding="utf-8", errors="replace")
            assert not wrong.search(text), path
