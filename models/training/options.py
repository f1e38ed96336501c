"""What `train` is asked for."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from dataclasses import replace as replaced
from pathlib import Path
from typing import Literal

from models.networks import architectures
from models.networks.recipes import Augmentation, Recipe


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What `train` is asked for. Folders of several DIRs are merged by class name."""

    folders: Sequence[Path]
    out: Path
    architecture: str = "mobilenet_v2"
    init: str | None = (
        None  # imagenet (downloads), none, a .weights.h5 file or a bundle; None: imagenet where there is one
    )
    epochs: int | None = None  # None, here and below: the architecture's own; 0 trains the last layer alone
    small_epochs: int | None = None  # of them, the first ones, on smaller photos at half the cost
    patience: int | None = None  # epochs without a better validation loss before stopping
    batch: int | None = None
    learning_rate: float | None = None
    optimizer: Literal["adamw", "sgd"] | None = None
    weight_decay: float | None = None
    dropout: float | None = None
    label_smoothing: float | None = None
    augmentation: Augmentation | None = None
    mixup: float | None = None
    cutout: float | None = None
    keep: float | None = None
    zoom: float | None = None
    input_size: int | None = None  # pixels; None: the architecture's own
    folder_names: Mapping[str, str] = field(default_factory=dict)  # label -> folder, where they differ
    exclude: Path | None = None  # a CSV of photos to set aside: sha256, reason
    dataset: str | None = None  # a public data set beside the folders, downloaded once
    all_sources: bool = False  # train on every source of `neither`, so that none is left to judge by
    seed: int = 1
    target_precision: float = 0.995  # that the recorded figures are for
    work: Path = Path(".train")  # checkpoints

    @property
    def recipe(self) -> Recipe:
        """What was asked for, and the architecture's own for the rest."""
        own = architectures.known(self.architecture).recipe
        asked = {f.name: getattr(self, f.name, None) for f in fields(Recipe)}
        return replaced(own, **{name: value for name, value in asked.items() if value is not None})

    @property
    def command(self) -> str:
        """The command line that asks for the same."""
        words = ["pawsort", "train", *map(str, self.folders)]
        for option in fields(self):
            value = getattr(self, option.name)
            if option.name in ("folders", "folder_names", "work"):
                continue
            if value is True:
                words.append(f"--{option.name.replace('_', '-')}")
            elif option.name in ("architecture", "out") or value != option.default:
                words += [f"--{option.name.replace('_', '-')}", str(value)]
        for label, folder in self.folder_names.items():
            words += ["--folder", f"{label}={folder}"]
        return shlex.join(words)
