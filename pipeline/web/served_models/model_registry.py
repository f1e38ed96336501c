"""The models that a visitor may choose.

They are the worker's in the version in force, the one that the settings name, the shipped ones, those in
`models/` beside the settings, and ImageNet's once made.

A visitor chooses a name from this list; a path in a request is never opened.
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
from models.inference import imagenet_bundle
from models.inference.engines import Kind, answering
from pipeline.errors import ModelError
from pipeline.learning import refusal, versions
from pipeline.learning.in_use import answering_first
from pipeline.learning.versions import Family, Version
from pipeline.settings.config import Settings
from pipeline.web.middleware.problems import Problem

log = logging.getLogger(__name__)

SHIPPED = Path(models.__file__).parent

MAKE_IMAGENET = (
    "Run `pawsort classify --model imagenet PHOTO` once; where there is no internet, give it the weights "
    "with `--weights FILE`."
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A model and its name in URLs; `is_workers` marks the one that the worker uses."""

    key: str
    bundle: Bundle
    is_workers: bool


class ModelRegistry:
    """The available models; each is read again only when its manifest has changed."""

    def __init__(self, settings: Settings, folder: Path = SHIPPED) -> None:
        self._engine: Kind = settings.engine
        self._settings = settings
        self._base = bundles.locate(settings.model, settings.base)
        self._folders = (folder, settings.base / "models")
        self._loaded: dict[Path, tuple[int, Bundle | None]] = {}
        self._family: Family | None = None
        self._versions: tuple[tuple[int, int, int], tuple[Version, ...]] = ((-1, -1, -1), ())
        self._lock = threading.Lock()

    def all(self) -> list[Choice]:
        """Return the worker's model, then the others by name; broken ones are left out."""
        with self._lock:
            return list(self._found())

    def one(self, key: str | None) -> Choice:
        """Return the model called `key`, the worker's for None. Raises Problem 404, 503."""
        choices = self.all()
        if not choices:
            raise Problem(503, "There is no model that can be used.", "`pawsort config check` says why.")
        if not key:
            return choices[0]
        for choice in choices:
            if choice.key == key:
                return choice
        if key == imagenet_bundle.NAME:
            raise Problem(503, "The model imagenet is not made yet.", MAKE_IMAGENET)
        known = ", ".join(choice.key for choice in choices)
        raise Problem(404, f"There is no model called {key[:80]}.", f"Choose one of: {known}.")

    def _found(self) -> Iterator[Choice]:
        seen: set[str] = set()
        own = self._workers()
        for key, path in self._places(own):
            # A user's bundle may have the name of a shipped one; the first of a name is used.
            if key not in seen and (bundle := self._bundle(path)) is not None:
                seen.add(key)
                yield Choice(key, bundle, path == own.path)

    def _workers(self) -> Version:
        """Return the version that answers: in force, or the latest before it that can be used; the base."""
        *learnt, base = self._chain()
        return next((version for version in learnt if self._bundle(version.path) is not None), base)

    def _chain(self) -> tuple[Version, ...]:
        """Return `answering_first`, read again only when base, record or the worker's refusal has changed."""
        base = Version(0, self._base.name, self._base)
        if not versions.has_versions(self._settings):
            return (base,)
        try:
            base_changed = _changed_at(self._base / bundles.MANIFEST)
            if self._family is None or self._versions[0][0] != base_changed:
                self._family = versions.family(self._settings)
            refused = _changed_at(self._family.folder / refusal.FILE_NAME)
            changed = base_changed, _changed_at(self._family.record_path), refused
            if self._versions[0] != changed:
                self._versions = changed, tuple(answering_first(self._family))
        except ModelError:  # `_load` says why
            return (base,)
        return self._versions[1]

    def _places(self, own: Version) -> Iterator[tuple[str, Path]]:
        if own.number:
            yield own.name, own.path
        yield self._base.name, self._base
        for folder in self._folders:
            for manifest in sorted(folder.glob(f"*/{bundles.MANIFEST}")):
                yield manifest.parent.name, manifest.parent
        # Listed only once made, by `pawsort classify --model imagenet`: that takes a download and minutes.
        made = cache_folder().glob(f"{imagenet_bundle.NAME}-*/{bundles.MANIFEST}")
        for manifest in sorted(made, key=lambda path: path.stat().st_mtime)[-1:]:
            yield imagenet_bundle.NAME, manifest.parent

    def _bundle(self, path: Path) -> Bundle | None:
        changed = _changed_at(path / bundles.MANIFEST)
        if path not in self._loaded or self._loaded[path][0] != changed:
            self._loaded[path] = (changed, self._load(path))
        return self._loaded[path][1]

    def _load(self, path: Path) -> Bundle | None:
        try:
            return answering(bundles.load(path), self._engine)
        except BundleError as error:
            log.warning("this model cannot be chosen: %s", error)
            return None


def _changed_at(path: Path) -> int:
    """Return when a file was changed, in nanoseconds, 0 if it cannot be found."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
