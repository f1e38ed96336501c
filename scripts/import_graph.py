"""Read the imports between modules from the source and draw the packages as mermaid flowcharts.

`python -m scripts.import_graph` prints the drawings; `--write` puts them into docs/dev/architecture.md, and
into each package's `__init__` what it imports.
Imports inside functions and under TYPE_CHECKING count like any other. Own code because import-linter counts
the first but cannot draw, and forty lines do both.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("pipeline", "models", "db")
PAGE = ROOT / "docs" / "dev" / "architecture.md"
BEGIN = "<!-- begin packages: made by `python -m scripts.import_graph --write` -->\n"
END = "<!-- end packages -->\n"

Graph = Mapping[str, frozenset[str]]
"""For each module or package, those it imports."""


@functools.cache
def modules() -> dict[str, Path]:
    """Return the path of each module by its dotted name, without the migrations."""
    paths = (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))
    return {_name(path): path for path in paths if "migrations" not in path.parts}


@functools.cache
def module_graph() -> Graph:
    """Return the modules of Pawsort that each module imports."""
    known = modules()
    return {name: frozenset(_imported(path, known) - {name}) for name, path in known.items()}


def statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield each statement of a module at any depth, in order: a twelfth of what `ast.walk` yields."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.stmt):
            yield node
        for field in ("cases", "finalbody", "orelse", "handlers", "body"):
            waiting.extend(reversed(getattr(node, field, ())))


def package_graph(graph: Graph) -> Graph:
    """Return the packages that each package imports."""
    packages: dict[str, set[str]] = {}
    for module, imported in graph.items():
        here = package_of(module)
        packages.setdefault(here, set()).update(package_of(name) for name in imported)
    return {name: frozenset(imported - {name}) for name, imported in packages.items()}


def package_of(module: str) -> str:
    """Return the package of a module: `pipeline.web.routes` for `pipeline.web.routes.api`."""
    return module if _is_package(module) else module.rpartition(".")[0]


def cycle(graph: Graph) -> list[str]:
    """Return one cycle of imports, empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def mermaid(room: str, graph: Graph) -> str:
    """Draw the packages below `room` and their imports as a mermaid flowchart."""
    inside = {
        name: imported for name, imported in package_graph(graph).items() if name.startswith(f"{room}.")
    }
    lines = [
        f"    {_label(name)} --> {_label(other)}"
        for name in sorted(inside)
        for other in sorted(inside[name])
        if other in inside
    ]
    alone = [
        f"    {_label(name)}" for name in sorted(inside) if not any(_label(name) in line for line in lines)
    ]
    return "\n".join(["flowchart TD", *lines, *alone])


def drawings(graph: Graph) -> str:
    """Return a fenced flowchart of each room."""
    return "\n".join(f"```mermaid\n{mermaid(room, graph)}\n```\n" for room in ROOMS)


def redrawn(page: str, graph: Graph) -> str:
    """Return the page with new drawings between its two markers. Raises ValueError if one is missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected a line {BEGIN.strip()!r} and then a line {END.strip()!r} in the page")
    return f"{before}{BEGIN}\n{drawings(graph)}\n{END}{after}"


def imports_sentence(package: str, graph: Graph) -> str:
    """Return which packages of its own room, and which other rooms, a package imports, as a sentence."""
    room, imported = package.partition(".")[0], package_graph(graph)[package]
    own = sorted(_label(name) for name in imported if name.startswith(f"{room}."))
    other = sorted({name.partition(".")[0] for name in imported} - {room})
    names = [f"`{name}`" for name in (*own, *other)] + [f"the root of `{room}`"] * (room in imported)
    listed = " and ".join(
        [", ".join(names[:-1]), names[-1]] if names[1:] else names or ["nothing of Pawsort"]
    )
    return f"Imports {listed}."


def described(docstring: str, package: str, graph: Graph) -> str:
    """Return the text of an `__init__` whose last paragraph is its sentence of imports. Raises ValueError."""
    sentence = textwrap.fill(imports_sentence(package, graph), 110, break_on_hyphens=False)
    result, count = re.subn(r'\nImports [^"]*"""', f'\n{sentence}\n"""', docstring)
    if count != 1:
        raise ValueError(f"{package}: expected a docstring whose last paragraph begins with 'Imports'")
    return result


def _label(package: str) -> str:
    return package.partition(".")[2]


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _is_package(module: str) -> bool:
    return (ROOT / module.replace(".", "/")).is_dir()


def _imported(path: Path, known: Mapping[str, Path]) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {name for node in statements(tree) for name in _names(node) if name in known}


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield (
                inner
                if (ROOT / f"{inner.replace('.', '/')}.py").is_file() or _is_package(inner)
                else node.module
            )


if __name__ == "__main__":
    found = module_graph()
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(redrawn(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
        for name, path in modules().items():
            if path.name == "__init__.py" and name not in ROOMS:
                path.write_text(described(path.read_text(encoding="utf-8"), name, found), encoding="utf-8")
    else:
        print(drawings(found))
