"""The versions of packages that a bundle records."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import pytest

from models.bundle import package_versions


def test_missing_packages_have_no_version(monkeypatch: pytest.MonkeyPatch):
    def version(name: str) -> str:
        if name == "cykooz-resizer":
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(package_versions, "version", version)
    found = package_versions.package_versions()
    assert found.keys() == {"python", "tensorflow", "keras", "numpy", "pillow"}
