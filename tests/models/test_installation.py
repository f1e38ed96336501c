"""The command that a hint names installs into the environment that runs."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

import pytest

from models import installation
from models.installation import install_command

UV = """
[tool]
requirements = [
    { name = "pawsort", extras = ["web"], path = "/wheels/pawsort-0.2.0-py3-none-any.whl" },
    { name = "iniconfig", specifier = ">=2" },
]
"""
PROJECT = """
[project]
optional-dependencies = {raw = ["rawpy>=0.25"], postgres = ["psycopg[binary]>=3.2"]}
"""


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment with pip, beside a checkout that it is not part of."""
    monkeypatch.setattr(installation, "PROJECT", tmp_path / "checkout")
    monkeypatch.setattr(installation, "find_spec", lambda _: object())
    for name, text in (
        ("pyproject.toml", PROJECT),
        ("requirements.lock", "rawpy==0.27.0\n"),
        ("Makefile", ""),
    ):
        (tmp_path / "checkout" / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
        (tmp_path / "checkout" / name).write_text(text)
    folder = tmp_path / "venv of pawsort"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").touch()
    return folder


def test_the_python_of_the_environment_installs_an_extra_or_a_package(prefix: Path) -> None:
    python = f"'{prefix}/bin/python'"
    assert install_command(extra="raw", prefix=prefix) == f"{python} -m pip install 'pawsort[raw]'"
    assert install_command("weights", prefix=prefix) == f"{python} -m pip install weights"


def test_an_environment_without_pip_is_uvs(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "find_spec", lambda _: None)
    command = install_command(extra="raw", prefix=prefix)
    assert command == f"uv pip install --python '{prefix}/bin/python' 'pawsort[raw]'"


def test_a_tool_of_pipx_or_uv_keeps_what_it_was_installed_with(prefix: Path) -> None:
    (prefix / "pipx_metadata.json").touch()
    assert install_command(extra="raw", prefix=prefix) == "pipx inject 'venv of pawsort' 'rawpy>=0.25'"
    (prefix / "uv-receipt.toml").write_text(UV)
    assert install_command(extra="raw", prefix=prefix) == (
        "uv tool install --with 'iniconfig>=2' --with 'rawpy>=0.25' "
        "'/wheels/pawsort-0.2.0-py3-none-any.whl[web]'"
    )


def test_a_checkout_is_set_up_again_by_make_where_that_helps(prefix: Path) -> None:
    checkout = prefix.parent / "checkout"
    own = checkout / ".venv"
    assert install_command(extra="raw", prefix=own) == f"make -C {checkout} setup"
    assert "pip install 'pawsort[postgres]'" in install_command(extra="postgres", prefix=own), "not locked"
    (own / "runtime.stamp").touch()
    assert "pip install 'pawsort[raw]'" in install_command(extra="raw", prefix=own), "make would do nothing"
    os.utime(own / "runtime.stamp", (0, 0))
    assert install_command(extra="raw", prefix=own) == f"make -C {checkout} setup", "the lock is newer"


def test_a_checkout_that_is_not_installed_takes_its_lock(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    lock = prefix.parent / "checkout" / "requirements.lock"
    command = install_command(extra="raw", prefix=prefix)
    assert command == f"'{prefix}/bin/python' -m pip install --require-hashes -r {lock}"


def test_a_wheel_knows_its_extras_by_its_metadata(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "PROJECT", prefix)
    requires = ['rawpy>=0.25; extra == "raw"', 'openpyxl; extra == "excel"', "numpy"]
    monkeypatch.setattr(metadata, "requires", lambda _: requires)
    (prefix / "pipx_metadata.json").touch()
    assert install_command(extra="raw", prefix=prefix) == "pipx inject 'venv of pawsort' 'rawpy>=0.25'"


def test_the_extra_for_clusters_has_a_lock_of_its_own(prefix: Path) -> None:
    project = PROJECT.replace("{raw", '{cluster = ["ray[data]>=2.50"], raw')
    (installation.PROJECT / "pyproject.toml").write_text(project)
    python = f"'{prefix}/bin/python'"
    assert install_command(extra="cluster", prefix=prefix) == f"{python} -m pip install 'pawsort[cluster]'"
    lock = installation.PROJECT / "requirements-cluster.lock"
    lock.write_text("ray==2.60.0\n")
    assert install_command(extra="cluster", prefix=prefix).endswith(
        f"-m pip install --require-hashes -r {lock}"
    )
