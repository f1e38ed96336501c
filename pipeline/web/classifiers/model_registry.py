"""Which models a visitor may choose: the one in the settings, those that came with us, all
in `models/` beside the settings, and ImageNet's once made.

A choice is a plain name out of this list, never a path that somebody sent.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import models
from models.bundle import bundle as bundles
from models.bundle.bundle import Bundle
from models.bundle.cache import cache_folder
from models.errors import BundleError
from models.inference import imagenet
from pipeline.config import Settings
from pipeline.web.middleware.problems import Problem

log = logging.getLogger(__name__)

SHIPPED = Path(models.__file__).parent

MAKE_IMAGENET = (
    "Run `pawsort classify --model imagenet PHOTO` once; where there is no internet, give it the weights "
    "with `--weights FILE`."
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A model by the name in its address; `is_workers` marks the one that the worker uses."""

    key: str
    bundle: Bundle
    is_workers: bool


class ModelRegistry:
    """The models that there are, each read again only when its manifest has changed."""

    def __init__(self, settings: Settings, folder: Path = SHIPPED) -> None:
        self._own = bundles.locate(settings.model, settings.base)
        self._folders = (folder, settings.base / "models")
        self._read: dict[Path, tuple[int, Bundle | None]] = {}
        self._lock = threading.Lock()

    def all(self) -> list[Choice]:
        """Return the worker's own model first, then the others by name; a broken one is left out."""
        with self._lock:
            return list(self._found())

    def one(self, key: str | None) -> Choice:
        """Return the model called `key`, the worker's own for None. Raises Problem 404, 503."""
        choices = self.all()
        if not choices:
            raise Problem(503, "There is no model that can be used.", "`pawsort config check` says why.")
        if not key:
            return choices[0]
        for choice in choices:
            if choice.key == key:
                return choice
        if key == imagenet.NAME:
            raise Problem(503, "The model imagenet is not made yet.", MAKE_IMAGENET)
        known = ", ".join(choice.key for choice in choices)
        raise Problem(404, f"There is no model called {key[:80]}.", f"Choose one of: {known}.")

    def _found(self) -> Iterator[Choice]:
        seen: set[str] = set()
        for key, path in self._places():
            # The first of a name has it: a bundle of the visitor's own may be called like one of ours.
            if key not in seen and (bundle := self._bundle(path)) is not None:
                seen.add(key)
                yield Choice(key, bundle, path == self._own)

    def _places(self) -> Iterator[tuple[str, Path]]:
        yield self._own.name, self._own
        for folder in self._folders:
            for manifest in sorted(folder.glob(f"*/{bundles.MANIFEST}")):
                yield manifest.parent.name, manifest.parent
        # Making it would take a download and minutes; `pawsort classify --model imagenet` does that.
        made = cache_folder().glob(f"{imagenet.NAME}-*/{bundles.MANIFEST}")
        for manifest in sorted(made, key=lambda path: path.stat().st_mtime)[-1:]:
            yield imagenet.NAME, manifest.parent

    def _bundle(self, path: Path) -> Bundle | None:
        try:
            changed = os.stat(path / bundles.MANIFEST).st_mtime_ns
        except OSError:
            changed = 0
        if path not in self._read or self._read[path][0] != changed:
            self._read[path] = (changed, _load(path))
        return self._read[path][1]


def _load(path: Path) -> Bundle | None:
    try:
        return bundles.load(path)
    except BundleError as error:
        log.warning("this model cannot be chosen: %s", error)
        return None
