"""The rules of the house, held against the imports of a tree of files.

A rule is a function that takes a `Tree` and yields `Breach`es. The tree is read as
text: nothing is imported.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import jupytext

# Where Python files lie; a module's name begins below. All but the first are tools.
ROOTS = ("src", "book/_ext", "scripts", "benchmarks", "tests/helpers")
# Pages with code: the cells of each are read as one module.
PAGES = ("book", "assignments")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)
# Lines of a function, its docstring not counted.
LONGEST = 60


@dataclass(frozen=True, order=True)
class Breach:
    """What breaks a rule, by name; the line is for people and no part of the name."""

    rule: str
    what: str
    where: str = field(default="", compare=False)


@dataclass(frozen=True)
class Use:
    """A module of the tree that a file names, and what it takes from it."""

    module: str
    name: str
    line: int


class Source:
    """One file: its module's name, the place that it belongs to, what it uses."""

    def __init__(self, root: Path, place: str, path: Path) -> None:
        self.place = place
        self.path = path
        self.file = path.relative_to(root).as_posix()
        if path.suffix == ".md":
            self.name = self.file
            text = cells(path)
        else:
            parts = path.relative_to(root / place).with_suffix("").parts
            self.name = ".".join(parts).removesuffix(".__init__")
            text = path.read_text(encoding="utf-8")
        self.is_package = path.name == "__init__.py"
        self.code = ast.parse(text, self.file)

    @property
    def package(self) -> str:
        """The name of the folder: what a leading dot means in an import."""
        return self.name if self.is_package else self.name.rpartition(".")[0]

    def nodes(self, *kinds) -> Iterator:
        """Yield the nodes of some kinds, those inside functions included."""
        return (node for node in ast.walk(self.code) if isinstance(node, kinds))

    @cached_property
    def handed_on(self) -> dict[str, str]:
        """Return the names that an ``attach`` hands on when first used."""
        calls = [
            node
            for node in self.nodes(ast.Call)
            if self.is_package and getattr(node.func, "id", "") == "attach"
        ]
        found = {}
        for call in calls:
            tables = [*call.args[1:], *(word.value for word in call.keywords)]
            for table in tables:
                for name, home in ast.literal_eval(table).items():
                    found[name] = f"{self.name}.{home}"
        return found

    @cached_property
    def private(self) -> set[str]:
        """Return the names with `_` that are made here, in classes as well."""
        found = {node.name for node in self.nodes(*DEFINITIONS)}
        for node in self.nodes(ast.Name, ast.Attribute):
            if isinstance(node.ctx, ast.Store):
                found.add(node.id if isinstance(node, ast.Name) else node.attr)
        return {name for name in found if is_private(name)}


def cells(path: Path) -> str:
    """Return the code of a page's cells; what is no Python in them stays out."""
    notebook = jupytext.read(path, fmt="md:myst")
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return re.sub(r"^[%!].*", "", "\n".join(code), flags=re.MULTILINE)


def is_private(name: str) -> bool:
    """Say whether a name begins with one underscore, or two that do not end it."""
    return name.startswith("_") and not name.endswith("__") and name != "_"


class Tree:
    """All the sources below a folder."""

    def __init__(self, root: Path) -> None:
        self.sources = []
        for place in ROOTS:
            for path in sorted((root / place).rglob("*.py")):
                self.sources.append(Source(root, place, path))
        for place in PAGES:
            for path in sorted((root / place).rglob("*.md")):
                if "{code-cell}" in path.read_text(encoding="utf-8"):
                    self.sources.append(Source(root, place, path))
        self.modules = {source.name: source for source in self.sources}

    def uses(self, source: Source) -> list[Use]:
        """Return what a file imports or starts by name, of this tree alone."""
        return [use for use in self._uses(source) if self._known(use.module)]

    def _known(self, module: str) -> bool:
        return module.partition(".")[0] in self.modules

    def _uses(self, source: Source) -> Iterator[Use]:
        for node in source.nodes(ast.Import, ast.ImportFrom, ast.Constant):
            if isinstance(node, ast.Import):
                yield from (Use(name.name, "", node.lineno) for name in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from self._taken(source, node)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                # python -m coursegrade.examiner.server
                if "." in node.value and node.value in self.modules:
                    yield Use(node.value, "", node.lineno)
        for name, module in source.handed_on.items():
            yield Use(module, "" if module.endswith(f".{name}") else name, 1)

    def _taken(self, source: Source, node: ast.ImportFrom) -> Iterator[Use]:
        base = node.module or ""
        if node.level:
            above = source.package.split(".")
            above = above[: len(above) - node.level + 1]
            base = ".".join([*above, *([base] if base else [])])
        for name in node.names:
            inner = f"{base}.{name.name}"
            if inner in self.modules:
                yield Use(inner, "", node.lineno)
            else:
                yield Use(base, name.name, node.lineno)

    def aliases(self, source: Source) -> dict[str, str]:
        """Return the names that stand for modules of the tree in a file."""
        found = {}
        for node in source.nodes(ast.Import, ast.ImportFrom):
            taken = [] if isinstance(node, ast.Import) else self._taken(source, node)
            names = node.names
            if isinstance(node, ast.Import):
                for name in names:
                    module = name.name if name.asname else name.name.partition(".")[0]
                    found[name.asname or module] = module
            for name, use in zip(names, taken, strict=False):
                if not use.name:
                    found[name.asname or name.name] = use.module
        return {name: module for name, module in found.items() if self._known(module)}


def inside(module: str, package: str) -> bool:
    """Say whether a module is the package or lies in it."""
    return module == package or module.startswith(f"{package}.")


# --- 1, 2, 3: who may import whom ---------------------------------------------

# Benchmarks and tests may use all tools, as long as no circle comes of it.
TOOLS = ROOTS[1:]
GRADER_TAKES = {"coursekit", "coursekit.grading", "coursekit.colab"}
MAY = {
    "book": {"coursekit"},
    "assignments": {"coursekit"},
    "book/_ext": {"coursekit", "book/_ext"},
    "scripts": {"coursekit", "scripts"},
    "benchmarks": {"coursekit", "coursegrade", *TOOLS},
    "tests/helpers": {"coursekit", "coursegrade", *TOOLS},
    "coursekit": {"coursekit"},
    "coursegrade": {"coursekit", "coursegrade"},
}


def home(source: Source) -> str:
    """Return where a file belongs: its place, or in `src` its package."""
    return source.name.partition(".")[0] if source.place == "src" else source.place


def roads(tree: Tree) -> Iterator[Breach]:
    """Rule 1: who may import whom."""
    for source, use in all_uses(tree):
        target = home(tree.modules[use.module.partition(".")[0]])
        allowed = target in MAY.get(home(source), {home(source)})
        if home(source) == "coursegrade" and target == "coursekit":
            allowed = use.module in GRADER_TAKES
        if use.module == "coursekit.plots" and home(source) == "coursekit":
            allowed = source.name in {"coursekit", "coursekit.clinic.trace_plots"}
        if not allowed:
            yield breach("1 who imports whom", source, use)


# Each room of a package, and the rooms that it may import. A room is a module or
# a folder; "_" is its private modules together, "" all else and its face.
CLINIC = {
    "": {"trial", "monitor", "diagnosis", "_", "trace", "trace_plots"},
    "trial": {"monitor", "diagnosis", "_", "trace"},
    "monitor": {"diagnosis", "_", "trace"},
    "diagnosis": {"_", "trace"},
    # the checkup, and what only serves others
    "_": {"trace"},
    "trace_plots": {"trace"},
    "trace": set(),
}
GROUND = {"assignment", "statuses"}
GRADER = {
    # the verbs
    "": {"gradebook", "examiner", "sandbox", "border", *GROUND},
    "gradebook": {"examiner", "sandbox", "border", *GROUND},
    "examiner": {"sandbox", "border", *GROUND},
    "sandbox": {"border"},
    "border": set(),
    "assignment": {"statuses"},
    "statuses": set(),
}


def room(module: str, package: str, rooms: dict) -> str:
    """Return the room of a module, or "" where it has none of its own."""
    first = module.removeprefix(package).removeprefix(".").partition(".")[0]
    if is_private(first) and "_" in rooms:
        return "_"
    return first if first in rooms else ""


def arrows(package: str, rooms: dict, rule: str) -> Callable:
    """Make a rule of a table of rooms."""

    def check(tree: Tree) -> Iterator[Breach]:
        for source, use in all_uses(tree):
            if not (inside(source.name, package) and inside(use.module, package)):
                continue
            start = room(source.name, package, rooms)
            end = room(use.module, package, rooms)
            # A package's place on the disk is nobody's secret.
            if start != end and end not in rooms[start] and use.module != package:
                yield breach(rule, source, use)

    return check


def clinic_below(tree: Tree) -> Iterator[Breach]:
    """Rule 2: the helpers know nothing of the clinic; the face hands it on."""
    for source, use in all_uses(tree):
        flat = inside(source.name, "coursekit") and source.name != "coursekit"
        if flat and not inside(source.name, "coursekit.clinic"):
            if inside(use.module, "coursekit.clinic"):
                yield breach("2 inside clinic", source, use)


def no_secret(tree: Tree) -> Iterator[Breach]:
    """Rule 3: where strangers' code runs, the course's secret is not known."""
    for source, use in all_uses(tree):
        for strange in ("coursegrade.sandbox", "coursegrade.border"):
            if inside(source.name, strange) and use.module == "coursekit.grading":
                yield breach("3 inside coursegrade", source, use)


# --- 4: public and private ----------------------------------------------------


def private_modules(tree: Tree) -> Iterator[Breach]:
    """Rule 4: a module with `_` is imported only inside the folder that holds it."""
    for source, use in all_uses(tree):
        if not may_see(tree, source, use.module):
            yield breach("4 private module", source, use)


def may_see(tree: Tree, source: Source, module: str) -> bool:
    """Say whether each part with `_` of a module's name is held by our folder."""
    parts = module.split(".")
    for number, part in enumerate(parts):
        if is_private(part):
            holder = ".".join(parts[:number])
            if holder and not inside(source.name, holder):
                return False
            known = tree.modules.get(part)
            if not holder and known and source.path.parent != known.path.parent:
                return False
    return True


def private_names(tree: Tree) -> Iterator[Breach]:
    """Rule 4: a name with `_` stays in its own module, as an attribute as well."""
    for source, use in all_uses(tree):
        if is_private(use.name):
            yield breach("4 private name", source, use)
    homes = defaultdict(set)
    for source in tree.sources:
        for name in source.private:
            homes[name].add(source.name)
    for source in tree.sources:
        aliases = tree.aliases(source)
        for node, base, name in attributes(source):
            module = aliases.get(base, "")
            if f"{module}.{name}" in tree.modules:
                if not may_see(tree, source, f"{module}.{name}"):
                    yield breach("4 private module", source, node, f"{module}.{name}")
            elif module and module != source.name:
                yield breach("4 private name", source, node, f"{module}: {name}")
            elif homes[name] and name not in source.private:
                owner = min(homes[name])
                yield breach("4 private name", source, node, f"{owner}: {name}")


def attributes(source: Source) -> Iterator[tuple[ast.AST, str, str]]:
    """Yield each private attribute that is read: node, what it is read of, name."""
    for node in source.nodes(ast.Attribute, ast.Call):
        if isinstance(node, ast.Attribute):
            base, name = node.value, node.attr
        elif getattr(node.func, "id", "") in {"getattr", "setattr", "hasattr"}:
            base, name = node.args[0], getattr(node.args[1], "value", "")
        else:
            continue
        if isinstance(name, str) and is_private(name):
            yield node, ast.unparse(base), name


# --- 5, 6 and what no rule of the house numbers -------------------------------


def names_of_modules(tree: Tree) -> Iterator[Breach]:
    """Rule 5: no module has the name of a function that its package hands on."""
    for source in tree.sources:
        if source.is_package:
            for use in tree.uses(source):
                if use.name and f"{source.name}.{use.name}" in tree.modules:
                    yield breach("5 name of a module", source, use)


def faces(tree: Tree) -> Iterator[Breach]:
    """Rule 6: a folder says what it is for, and hands names on or registers."""
    for source in tree.sources:
        if source.place not in {"src", "book/_ext"}:
            continue
        folder = source.path.parent
        has_face = (folder / "__init__.py").is_file()
        if source.package and not has_face:
            yield Breach("6 folder", f"{source.package} has no __init__", source.file)
        if not source.is_package:
            continue
        first = (ast.get_docstring(source.code) or "").partition("\n\n")[0]
        if not first.endswith("."):
            yield Breach("6 folder", f"{source.name} says nothing", source.file)
        for node in source.code.body:
            if isinstance(node, ast.ClassDef) or (
                isinstance(node, FUNCTIONS) and not registers(source, node.name)
            ):
                what = f"{source.name} defines {node.name}"
                yield breach("6 folder", source, node, what, whole=True)


def registers(source: Source, name: str) -> bool:
    """Say whether a function is an extension's `setup`, or connected by it."""
    setups = [node for node in source.nodes(*FUNCTIONS) if node.name == "setup"]
    names = {
        node.id
        for one in setups
        for node in ast.walk(one)
        if isinstance(node, ast.Name)
    }
    return name == "setup" or name in names


def long_functions(tree: Tree) -> Iterator[Breach]:
    """No function has more than 60 lines, with its docstring."""
    for source in tree.sources:
        # A test's table of cases may be long.
        tests = source.place == "tests/helpers"
        for node in () if tests else source.nodes(*FUNCTIONS):
            if node.end_lineno - node.lineno >= LONGEST:
                what = f"{source.name}: {node.name}"
                yield breach("long function", source, node, what, whole=True)


def circles(tree: Tree) -> Iterator[Breach]:
    """Neither modules nor packages import each other in a circle, late or early.

    Among the modules and folders that lie side by side, a folder counts as one.
    """
    graph = defaultdict(lambda: defaultdict(set))
    for source, use in all_uses(tree):
        if use.module not in tree.modules:
            continue
        start, end = steps(source), steps(tree.modules[use.module])
        depth = 0
        while depth < min(len(start), len(end)) and start[depth] == end[depth]:
            depth += 1
        if depth < min(len(start), len(end)):
            graph[".".join(start[:depth])][start[depth]].add(end[depth])
    for folder, edges in graph.items():
        for group in knots(edges):
            names = " <-> ".join(sorted(group))
            yield Breach("circle", f"{folder or 'top'}: {names}")


def steps(source: Source) -> list[str]:
    """Return the folders down to a file, and the file."""
    return [*source.name.split("."), *["__init__"] * source.is_package]


def knots(edges: dict[str, set[str]]) -> set[frozenset[str]]:
    """Return the groups whose members all reach each other."""

    def reach(start):
        seen, todo = set(), [start]
        while todo:
            new = edges.get(todo.pop(), set()) - seen
            seen |= new
            todo += new
        return seen

    found = {node: reach(node) for node in list(edges)}
    return {
        frozenset(other for other in found[node] if node in found.get(other, ()))
        for node in found
        if node in found[node]
    }


def same_names(tree: Tree) -> Iterator[Breach]:
    """What lies on one path must not have one name: the first would hide the rest."""
    seen = {}
    for source in tree.sources:
        other = seen.setdefault(source.name, source)
        if other is not source:
            yield Breach("one name", f"{source.file} hides {other.file}", source.file)


# --- all together -------------------------------------------------------------


def all_uses(tree: Tree) -> Iterator[tuple[Source, Use]]:
    """Yield each file with each of its uses."""
    return ((source, use) for source in tree.sources for use in tree.uses(source))


def breach(rule, source, node, what="", whole=False) -> Breach:
    """Name a breach: who, and whom or what it uses."""
    if isinstance(node, Use):
        line = node.line
        what = f"{node.module}: {node.name}" if node.name else node.module
    else:
        line = node.lineno
    text = what if whole else f"{source.name} -> {what}"
    return Breach(rule, text, f"{source.file}:{line}")


RULES = {
    "roads": roads,
    "clinic": arrows("coursekit.clinic", CLINIC, "2 inside clinic"),
    "clinic below": clinic_below,
    "coursegrade": arrows("coursegrade", GRADER, "3 inside coursegrade"),
    "no secret": no_secret,
    "private modules": private_modules,
    "private names": private_names,
    "names of modules": names_of_modules,
    "faces": faces,
    "long functions": long_functions,
    "circles": circles,
    "same names": same_names,
}


def breaches(tree: Tree) -> dict[str, str]:
    """Return all breaches, `rule: what`, and where each is."""
    found = {}
    for rule in RULES.values():
        for one in rule(tree):
            found.setdefault(f"{one.rule}: {one.what}", one.where)
    return found
