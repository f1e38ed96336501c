"""The settings as people may see them: on screen, and in a bundle for support."""

from __future__ import annotations

from typing import Any

from pipeline.masking import masked, masked_service_url
from pipeline.settings.config import Settings


def shown(settings: Settings) -> dict[str, Any]:
    """Return all settings as plain values, with *** in place of passwords, tokens and secret addresses."""
    values = settings.model_dump(mode="json")
    values["database"] = masked(values["database"])
    values["web"]["token"] = masked(values["web"]["token"])
    notify = values["notify"]
    notify["urls"] = [masked_service_url(url) for url in notify["urls"]]
    notify["heartbeat_url"] = masked_service_url(notify["heartbeat_url"])
    return values
