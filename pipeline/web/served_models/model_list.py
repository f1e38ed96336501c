"""List the configured model, its learnt versions and all other models, with figures, as plain values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import models
from models.bundle import bundle as bundles
from models.bundle.bundle import Bundle
from models.errors import BundleError
from models.inference.engines import answering
from pipeline.learning.listing import listing
from pipeline.settings.config import Settings
from pipeline.web.served_models import promised_figures


def model_list(settings: Settings) -> list[dict[str, Any]]:
    """Return a row for the configured model, each version learnt from it, and each other model.

    The figures are those at the target precision of the settings. Raises ModelError if the configured model
    has no readable manifest.
    """
    return [*_own(settings), *_others(settings)]


def _own(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield a row for the configured model and each version learnt from it."""
    for listed in listing(settings):
        kind = "learnt" if listed.version.number else "configured"
        row = _row(settings, listed.version.name, kind, listed.version.path, listed.bundle)
        own = {
            "version": listed.version.number,
            "in_force": listed.is_in_force,
            "learnt": listed.learnt or None,
        }
        yield row | own | {"problem": listed.problem or row["problem"]}


def _others(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield a row for each model that comes with Pawsort or lies in `models/` beside the settings."""
    own = bundles.locate(settings.model, settings.base)
    for folder in dict.fromkeys((Path(models.__file__).parent, settings.base / "models")):
        for path in sorted(manifest.parent for manifest in folder.glob(f"*/{bundles.MANIFEST}")):
            if path == own:
                continue
            try:
                bundle = bundles.described(path, bundles.read_manifest(path))
            except BundleError as error:
                yield _row(settings, path.name, "other", path, None) | {"problem": str(error)}
            else:
                yield _row(settings, path.name, "other", path, bundle)


def _row(settings: Settings, name: str, kind: str, path: object, bundle: Bundle | None) -> dict[str, Any]:
    row = {"name": name, "version": None, "kind": kind, "in_force": False, "path": str(path)}
    row |= dict.fromkeys(
        ("sha256", "labels", "folders", "target_precision", "threshold", "learnt", "problem")
    )
    return row | {"figures": {}} | (_described(settings, bundle) if bundle else {})


def _described(settings: Settings, bundle: Bundle) -> dict[str, Any]:
    """Return labels, folders, and the figures at the target precision of the settings."""
    found: dict[str, Any] = {"sha256": bundle.sha256, "labels": list(bundle.labels)}
    found |= {"folders": dict(bundle.folders)}
    try:
        bundle = answering(bundle, settings.engine)
    except BundleError as error:
        return found | {"problem": str(error)}
    figures = bundle.figures
    if bundle.folders:
        promise = promised_figures.in_force(settings, bundle)
        figures = promised_figures.figures(bundle, promise)
        found |= {"target_precision": promise.target, "threshold": promise.threshold}
    return found | {"figures": {name: figure.model_dump() for name, figure in figures.items()}}
