"""The options of a training."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from models.networks import architectures, recipes
from models.networks.recipes import Recipe, Value


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """The options of a training. Folders of several DIRs are merged by class name."""

    folders: Sequence[Path]
    out: Path
    architecture: str = "mobilenet_v2"
    init: str | None = None  # see `initial_weights.chosen`
    changes: Mapping[str, Value] = field(default_factory=dict)  # to the architecture's own recipe, by key
    input_size: int | None = None  # pixels; None: the architecture's own
    folder_names: Mapping[str, str] = field(default_factory=dict)  # label -> folder, where they differ
    exclude: Path | None = None  # a CSV of photos to set aside: sha256, reason
    dataset: str | None = None  # a public data set beside the folders, downloaded once
    all_sources: bool = False  # train on every source of `neither`; none is held out to measure on
    seed: int = 1
    target_precision: float = 0.995  # for the recorded figures
    int8: bool = True  # whether to make the network in int8 too
    detector: Path | None = None  # a bundle whose detector the new one gets, too
    work: Path = Path(".train")  # checkpoints

    @property
    def recipe(self) -> Recipe:
        """The architecture's own recipe with the changes. Raises RecipeError."""
        return recipes.changed(architectures.known(self.architecture).recipe, self.changes)

    @property
    def command(self) -> str:
        """The command line of the same training; changes of a recipe file stand in it one by one."""
        words = ["pawsort", "train", *map(str, self.folders)]
        for option in fields(self):
            value = getattr(self, option.name)
            if option.name in ("folders", "changes", "folder_names", "work"):
                continue
            if option.name == "int8":
                words += [] if value else ["--no-int8"]
            elif value is True:
                words.append(f"--{option.name.replace('_', '-')}")
            elif option.name in ("architecture", "out") or value != option.default:
                words += [f"--{option.name.replace('_', '-')}", str(value)]
        for key, changed in self.changes.items():
            words += ["--set", f"{key}={changed}"]
        for label, folder in self.folder_names.items():
            words += ["--folder", f"{label}={folder}"]
        # A name that is not UTF-8 is escaped, because bundle.yaml and the card are.
        return os.fsencode(shlex.join(words)).decode("utf-8", "backslashreplace")
