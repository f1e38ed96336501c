"""Packages import each other in one direction and stay small, and the drawing of them is true."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from scripts.import_graph import (
    PAGE,
    ROOMS,
    cycle,
    described,
    mermaid,
    module_graph,
    modules,
    package_graph,
    package_of,
    redrawn,
    statements,
)  # fmt: skip

GRAPH = module_graph()
PACKAGES = package_graph(GRAPH)

ORDERS = (
    (
        "pipeline.cli", "pipeline.cli.printing", "pipeline.backfill", "pipeline.backfill.storage",
        "pipeline.setup", "pipeline.web", "pipeline.doctor", "pipeline.service",
        "pipeline.backup", "pipeline.relocate", "pipeline.retention", "pipeline.alerts", "pipeline.worker",
        "pipeline.worker.steps", "pipeline.requests",
        "pipeline.spot_checks", "pipeline.by_hand", "pipeline.corrections", "pipeline.export",
        "pipeline.office", "pipeline.thumbnails", "pipeline.classifier", "pipeline.learning",
        "pipeline.originals", "pipeline.watch", "pipeline.keywords", "pipeline.companions",
        "pipeline.nightly", "pipeline.reports", "pipeline.files", "pipeline.settings", "pipeline",
    ),
    (
        "pipeline.web", "pipeline.web.routes.learning", "pipeline.web.routes.browse",
        "pipeline.web.routes", "pipeline.web.sent",
        "pipeline.web.downloads", "pipeline.web.metrics", "pipeline.web.services",
        "pipeline.web.elsewhere",
        "pipeline.web.served_models", "pipeline.web.middleware", "pipeline.web.views",
    ),
    (
        "models.learning", "models.learning.fitting", "models.training", "models.evaluation",
        "models.evaluation.report", "models.evaluation.metrics",
        "models.inference", "models.data", "models.networks", "models.bundle", "models.images",
        "models.images.colours", "models.images.raw", "models.images.formats", "models",
    ),
    ("db.queries", "db.queries.search", "db.ledger", "db.connection", "db.schema", "db"),
)  # fmt: skip
"""A package imports only what stands to its right; lazy imports count."""

ENTRY_POINTS = ("pipeline.entry", "pipeline.__main__")
"""Modules of a package's root that start the program, so that they import what stands to its left."""

MOST_MODULES = 14
MOST_LINES = 300


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order[0])
def test_packages_import_only_what_stands_to_their_right(order: tuple[str, ...]) -> None:
    places = {module: _place(module, order) for module in GRAPH}
    position = {package: number for number, package in enumerate(order)}
    backwards = [
        f"{module} imports {imported}"
        for module, names in GRAPH.items()
        for imported in names
        if (right := places[module]) and (left := places.get(imported)) and position[right] > position[left]
    ]
    assert backwards == []


def test_each_package_has_its_place_in_an_order() -> None:
    assert {
        name for name in PACKAGES if name not in {package for order in ORDERS for package in order}
    } == set()


@pytest.mark.parametrize(("room", "others"), [("models", ("pipeline", "db")), ("db", ("pipeline", "models"))])
def test_models_and_db_know_neither_the_pipeline_nor_each_other(room: str, others: tuple[str, ...]) -> None:
    foreign = [
        (module, name)
        for module, imported in GRAPH.items()
        for name in imported
        if module.split(".")[0] == room and name.split(".")[0] in others
    ]
    assert foreign == []


def test_sql_is_written_in_db_alone() -> None:
    names = {
        (module, alias.name)
        for module, path in modules().items()
        if not module.startswith("db.")
        for node in statements(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sqlalchemy"
        for alias in node.names
    }
    assert {(module, name) for module, name in names if name != "Engine"} == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert cycle(GRAPH) == []


def test_no_folder_has_too_many_modules() -> None:
    folders: dict[Path, int] = {}
    for path in modules().values():
        if path.name != "__init__.py":
            folders[path.parent] = folders.get(path.parent, 0) + 1
    assert {str(folder): n for folder, n in folders.items() if n > MOST_MODULES} == {}


def test_no_file_is_too_long() -> None:
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules().items()}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_ninety_five_in_a_hundred_functions_are_short() -> None:
    lengths = sorted(
        (node.end_lineno or 0) - node.lineno + 1
        for path in modules().values()
        for node in statements(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert lengths[int(0.95 * len(lengths))] <= 25


def test_each_package_says_in_a_few_lines_what_it_is_for() -> None:
    for name, path in modules().items():
        if path.name == "__init__.py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            assert len((ast.get_docstring(tree) or "").splitlines()) in range(1, 6), name
            assert len(tree.body) == 1, f"{name}: an __init__ says what the package is for, and nothing else"


@pytest.mark.parametrize("package", [name for name in PACKAGES if name not in ROOMS])
def test_each_package_says_what_it_imports(package: str) -> None:
    text = modules()[package].read_text(encoding="utf-8")
    assert text == described(text, package, GRAPH), "run `python -m scripts.import_graph --write`"


def test_a_package_without_a_sentence_of_its_imports_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"db\.schema"):
        described('"""Tables."""\n', "db.schema", GRAPH)


@pytest.mark.parametrize(
    ("above", "order"), [("pipeline", 0), ("pipeline.web", 1), ("models", 2), ("db", 3)], ids=str
)
def test_a_package_of_packages_draws_their_order(above: str, order: int) -> None:
    inside = [name.removeprefix(f"{above}.") for name in ORDERS[order] if name.startswith(f"{above}.")]
    (drawn,) = re.findall(r"[\w, ]+(?:->[\w,\s]+)+", modules()[above].read_text(encoding="utf-8"))
    assert re.findall(r"\w+", drawn) == [name for name in inside if "." not in name]


@pytest.mark.parametrize("room", ROOMS)
def test_the_drawing_of_the_packages_is_what_they_import(room: str) -> None:
    drawn = PAGE.read_text(encoding="utf-8")
    stale = "run `python -m scripts.import_graph --write`"
    assert f"```mermaid\n{mermaid(room, GRAPH)}\n```" in drawn, stale


def test_the_drawings_replace_only_what_stands_between_their_markers() -> None:
    page = PAGE.read_text(encoding="utf-8")
    stale = page.replace("```mermaid\n", "```mermaid\nold", 1)
    assert redrawn(stale, GRAPH) == redrawn(page, GRAPH)
    assert redrawn(page, GRAPH).startswith(page[: page.index("<!-- begin packages")])
    with pytest.raises(ValueError, match="end packages"):
        redrawn(page.replace("<!-- end packages", ""), GRAPH)


def _place(module: str, order: tuple[str, ...]) -> str | None:
    """Return the narrowest package of the order that a module lies in; entry points stand before all."""
    if module in ENTRY_POINTS:
        return None
    package = package_of(module)
    inside = [name for name in order if package == name or package.startswith(f"{name}.")]
    return max(inside, key=len, default=None)
