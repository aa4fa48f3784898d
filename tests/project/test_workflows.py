"""What can be said of `.github/workflows` without GitHub."""

import os
import re
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
    files = [one["constraints"] for one in check["strategy"]["matrix"]["include"]]
    assert files == ["", ".github/constraints/colab.txt"]
    assert workflow["jobs"]["report"]["needs"] == "check"


def run(text: str, folder: Path, **variables) -> str:
    """Run a step as the runner does; return what it prints."""
    shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text]
    environment = os.environ | variables
    done = subprocess.run(
        shell, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("times", [1, 2])
def test_what_is_published(tmp_path, times):
    """The branch holds the pages, the notebooks and nothing of the sources."""
    remote, clone = tmp_path / "remote.git", tmp_path / "clone"
    run(
        f"""
        git init --quiet --bare -b main "{remote}"
        git clone --quiet "{remote}" "{clone}" 2>/dev/null; cd "{clone}"
        mkdir -p book _build/html/book _build/notebooks
        echo /_build/ >.gitignore; touch book/page.md
        git -c user.name=a -c user.email=a@example.org add .
        git -c user.name=a -c user.email=a@example.org commit --quiet -m source
        git push --quiet origin HEAD
        touch _build/html/index.html _build/html/book/page.html
        touch _build/notebooks/page.ipynb
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
