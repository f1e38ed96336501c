"""Recipes of trainings: the numbers, their ranges, and the default of each architecture.

This is the only place that declares them: `pawsort train`, recipe files and sweeps make and check their
options from it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from models import plain_yaml, regular_files
from models.errors import RecipeError

Augmentation = Literal["photo", "zoom", "shift"]
"""photo: each photo decoded, framed, lit and degraded by itself, for large inputs. zoom: random crops,
mirror, light, whole batches at once from pixels in memory. shift: a few pixels to each side, mirror."""

Value = str | int | float

MOST_EPOCHS = 100_000


def _number(least: float, most: float, description: str) -> Any:
    return Field(ge=least, le=most, description=description)


def _choice(description: str) -> Any:
    return Field(description=description)


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Recipe:
    """Everything about training that a user or a sweep may change; shares from 0 to 1."""

    learning_rate: Annotated[float, _number(0, 100, "Its peak.")]
    epochs: Annotated[int, _number(0, MOST_EPOCHS, "At most; 0 trains the last layer alone.")] = 10
    batch: Annotated[int, _number(1, 65_536, "Photos in a step.")] = 32
    patience: Annotated[
        int, _number(1, MOST_EPOCHS, "Epochs without a better validation loss before stopping.")
    ] = 4
    small_epochs: Annotated[
        int, _number(0, MOST_EPOCHS, "Of them, the first ones, on smaller photos at half the cost.")
    ] = 0
    optimizer: Annotated[Literal["adamw", "sgd"], _choice("sgd has Nesterov's momentum of 0.9.")] = "adamw"
    weight_decay: Annotated[
        float,
        _number(0, 100, "A step, times the learning rate; for sgd of matrices and kernels alone."),
    ] = 0.02
    dropout: Annotated[float, _number(0, 0.9, "Of the features, before the last layer.")] = 0.2
    label_smoothing: Annotated[float, _number(0, 0.9, "Probability taken from the label.")] = 0.02
    average: Annotated[float, _number(0, 1, "Decay of the weights' moving average, a step.")] = 0.998
    warm_up: Annotated[float, _number(0, 1, "Share of all steps.")] = 0.05
    augmentation: Annotated[
        Augmentation, _choice("How photos are varied: photo is thorough, the others are cheap.")
    ] = "photo"
    mixup: Annotated[
        float, _number(0, 100, "Alpha of the Beta distribution that mixes two photos; 0 mixes none.")
    ] = 0.0  # Zhang et al. 2018
    blocks: Annotated[
        Literal["all", "last"], _choice("Which are trained; last keeps three quarters of a pretrained one.")
    ] = "all"
    keep: Annotated[float, _number(0, 1, "Share of the pretrained weights in the final ones.")] = (
        0.0  # WiSE-FT, Wortsman et al. 2022
    )
    zoom: Annotated[
        float, _number(1, 2, "Magnification of the crops for photos of low confidence; 1 takes none.")
    ] = 1.0
    cutout: Annotated[float, _number(0, 1, "Side of the square to blank, as a share of the photo's.")] = (
        0.0  # DeVries 2017
    )


FINE_TUNING = Recipe(learning_rate=2e-4, epochs=12, small_epochs=5, dropout=0.3, keep=0.5, zoom=1.6)
LAST_BLOCKS = Recipe(learning_rate=2e-4, epochs=6, dropout=0.3, blocks="last", keep=0.5, zoom=1.6)
SMALL_CNN = Recipe(
    learning_rate=0.03, epochs=80, batch=32, patience=80, small_epochs=60, optimizer="sgd", weight_decay=5e-3,
    dropout=0.1, label_smoothing=0.05, average=0.998, augmentation="zoom", cutout=0.2,
)  # fmt: skip
CIFAR_CNN = Recipe(
    learning_rate=0.12, epochs=70, batch=128, patience=70, optimizer="sgd", weight_decay=5e-3, dropout=0.2,
    label_smoothing=0.1, average=0.998, warm_up=0.1, augmentation="shift", mixup=0.3, cutout=0.3,
)  # fmt: skip
FITTED = Recipe(learning_rate=0.0, epochs=0)  # by scikit-learn, which uses no recipe

KEYS = tuple(field.name for field in fields(Recipe))
_TYPES = get_type_hints(Recipe, include_extras=True)
_SCHEMA: dict[str, Any] = TypeAdapter(Recipe).json_schema()["properties"]


def kind_of(key: str) -> Any:
    """Return the type of a key's values: int, float or a Literal."""
    return get_args(_TYPES[key])[0]


def range_of(key: str) -> tuple[float, float]:
    """Return the least and the largest value of a number."""
    return _SCHEMA[key]["minimum"], _SCHEMA[key]["maximum"]


def description_of(key: str) -> str:
    """Return the sentence that explains a key."""
    description: str = _SCHEMA[key]["description"]
    return description


def changed(own: Recipe, changes: Mapping[str, object]) -> Recipe:
    """Return a recipe with some values replaced. Raises RecipeError."""
    return Recipe(**{**asdict(own), **{key: checked(key, value) for key, value in changes.items()}})


def checked(key: str, value: object) -> Value:
    """Return a value as the key's type. Raises RecipeError that names key, value and what was expected."""
    check_key(key)
    try:
        if isinstance(value, bool):  # else yes and no in YAML would be 1 and 0
            raise TypeError
        result: Value = TypeAdapter(_TYPES[key]).validate_python(value)
    except (ValidationError, TypeError):
        raise RecipeError(f"{key}: expected {_expected(key)}, not {plain_yaml.quoted(value)}") from None
    return result


def check_key(key: str, *more: str) -> None:
    """Raise RecipeError unless a recipe, or `more`, has that key."""
    keys = (*KEYS, *more)
    if key not in keys:
        near = difflib.get_close_matches(key, keys, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise RecipeError(f"no {key!r}; there are {', '.join(keys)}{hint}")


def parsed(setting: str) -> tuple[str, Value]:
    """Return key and value of `KEY=VALUE`. Raises RecipeError."""
    key, equals, value = setting.partition("=")
    if not equals:
        raise RecipeError(f"--set {setting}: expected KEY=VALUE, such as learning_rate=0.001")
    try:
        return key, checked(key, value)
    except RecipeError as error:
        raise RecipeError(f"--set {setting}: {error}") from None


def read(path: Path) -> dict[str, Value]:
    """Read a recipe's file, YAML with some of KEYS. Raises RecipeError that names file and key."""
    try:
        content = plain_yaml.load(regular_files.read_text(path))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RecipeError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: expected lines such as `learning_rate: 0.001`")
    try:
        return {str(key): checked(str(key), value) for key, value in content.items()}
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None


def _expected(key: str) -> str:
    kind = kind_of(key)
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    least, most = range_of(key)
    return f"a {'whole number' if kind is int else 'number'} from {least:g} to {most:.15g}"
