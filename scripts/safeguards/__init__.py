"""The safeguards of `scripts.mutations`: where each stands, what the code is without it, who misses it."""

from __future__ import annotations

from scripts.safeguards import arriving, databases, disks, models, pages, pictures, reports, visitors
from scripts.safeguards.safeguard import Safeguard

__all__ = ["SAFEGUARDS", "Safeguard"]

SAFEGUARDS: tuple[Safeguard, ...] = (
    *arriving.SAFEGUARDS,
    *pictures.SAFEGUARDS,
    *disks.SAFEGUARDS,
    *databases.SAFEGUARDS,
    *reports.SAFEGUARDS,
    *models.SAFEGUARDS,
    *pages.SAFEGUARDS,
    *visitors.SAFEGUARDS,
)
