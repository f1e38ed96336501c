"""Options of `train` for the recipe: `--recipe FILE`, `--set KEY=VALUE`, and a hidden flag for each key."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from models.networks import recipes
from models.networks.recipes import Value
from pipeline.errors import translated


def with_recipe_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Add a hidden flag for each key of a recipe, such as --learning-rate; `flags` gets those that are given.

    They were the only way to change a recipe before --set, and scripts use them.
    """

    @functools.wraps(command)
    def run(**given: Any) -> None:
        flags = {key: given.pop(key) for key in recipes.KEYS}
        command(**given, flags={key: value for key, value in flags.items() if value is not None})

    own = inspect.signature(command, eval_str=True)
    kept = [each for each in own.parameters.values() if each.name != "flags"]
    parameters = [*kept, *map(_flag, recipes.KEYS)]
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def _flag(key: str) -> inspect.Parameter:
    kind, limits = recipes.kind_of(key), dict[str, Any]()
    if kind in (int, float):
        least, most = recipes.range_of(key)
        limits = {"min": least, "max": most}
    option = typer.Option(hidden=True, help=recipes.description_of(key), **limits)
    annotation: Any = Annotated[kind | None, option]
    return inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def changes(file: Path | None, flags: Mapping[str, Value], settings: Sequence[str]) -> dict[str, Value]:
    """Return the changes to a recipe: those of the file, then flags, then --set. Raises SettingsError."""
    with translated():
        return {
            **(recipes.read(file) if file else {}),
            **flags,
            **dict(map(recipes.parsed, settings)),
        }
