"""Which cells of a master a test needs, found in the text alone."""

import ast
import builtins
from functools import lru_cache


def tree_of(source):
    """Return a cell's syntax tree, or an empty one where magics stand in it."""
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        return ast.parse(TransformerManager().transform_cell(source))
    except SyntaxError:
        return ast.parse("")


@lru_cache(maxsize=1024)
def defined(source):
    """Return the names that a cell binds at its top level."""
    return frozenset(bound(tree_of(source)))


def bound(tree):
    """Return the names that a syntax tree binds in its outermost scope."""
    found = set()
    for node in (tree, *_own_scope(tree)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(a.asname or a.name).partition(".")[0] for a in node.names}
    return found


@lru_cache(maxsize=1024)
def used(source):
    """Return the names that a cell reads, in any scope, built-in ones left out."""
    names = {
        node.id
        for node in ast.walk(tree_of(source))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    return frozenset(names - set(dir(builtins)))


def needed(cells, test):
    """Return what a test needs: given cells to run, and names to ask for.

    Parameters
    ----------
    cells : sequence of Cell
        The master's cells.
    test : Cell
        One of them.

    Returns
    -------
    given : list of Cell
        Given cells, in the master's order, that define what the test uses.
    asked : set of str
        Names that an answer defines.
    """
    before = cells[: cells.index(test)]
    source = {}
    for cell in before:
        if cell.role in ("given", "answer", "student"):
            source.update(dict.fromkeys(defined(cell.source), cell))
    given, asked, queue = set(), set(), [test.source]
    while queue:
        for name in used(queue.pop()):
            cell = source.get(name)
            if cell is None:
                continue
            if cell.role == "answer":
                asked.add(name)
            elif cell.role == "given" and cell.id not in given:
                given.add(cell.id)
                queue.append(cell.source)
    return [cell for cell in before if cell.id in given], asked


def _own_scope(node):
    for child in ast.iter_child_nodes(node):
        yield child
        scope = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
        comprehension = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
        if not isinstance(child, scope + comprehension):
            yield from _own_scope(child)
