"""Say which command installs a missing package into the environment that runs this program.

Own code: no library knows how an environment was made.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tomllib
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]
"""The folder of the checkout, if this is one."""

_LOCK = "requirements.lock"
_CLUSTER_LOCK = "requirements-cluster.lock"
_NAME = re.compile(r"[\w.-]+")


def install_command(package: str = "", *, extra: str = "", prefix: Path | None = None) -> str:
    """Return the command of a shell that installs `package`, or Pawsort's `extra`.

    `prefix` is the folder of the environment, by default that of this process.
    """
    prefix = prefix or Path(sys.prefix)
    wanted = [package] if package else _of_extra(extra)
    if (receipt := prefix / "uv-receipt.toml").is_file():
        return _uv_tool(receipt, wanted)
    if (prefix / "pipx_metadata.json").is_file():
        return shlex.join(["pipx", "inject", prefix.name, *wanted])
    if _is_made_by_make(prefix) and _is_locked(wanted):
        return shlex.join(["make", "-C", str(PROJECT), "setup"])
    if package:
        return _pip(prefix, package)
    if extra == "cluster" and _is_locked(wanted, _CLUSTER_LOCK):
        return _pip(prefix, "--require-hashes", "-r", str(PROJECT / _CLUSTER_LOCK))
    if not _is_installed() and _is_locked(wanted):
        return _pip(prefix, "--require-hashes", "-r", str(PROJECT / _LOCK))
    return _pip(prefix, f"pawsort[{extra}]")


def _of_extra(extra: str) -> list[str]:
    """Return the packages of an extra, since not every installer takes the name of one."""
    if (project := PROJECT / "pyproject.toml").is_file():
        extras = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
        return list(extras[extra])
    mark = re.compile(rf"""; *extra == ["']{extra}["']$""")
    return [mark.sub("", line) for line in metadata.requires("pawsort") or () if mark.search(line)]


def _uv_tool(receipt: Path, wanted: list[str]) -> str:
    """Repeat what the tool was installed from and with: uv makes its environment anew."""
    tool, *others = tomllib.loads(receipt.read_text(encoding="utf-8"))["tool"]["requirements"]
    source = next(
        (tool[key] for key in ("path", "directory", "editable", "url") if key in tool), tool["name"]
    )
    extras = ",".join(tool.get("extras", ()))
    source = f"{source}[{extras}]" if extras else source
    added = [_requirement(other) for other in others] + wanted
    return shlex.join(
        ["uv", "tool", "install", *(word for each in added for word in ("--with", each)), source]
    )


def _requirement(entry: dict[str, Any]) -> str:
    return str(entry["name"]) + str(entry.get("specifier", ""))


def _is_made_by_make(prefix: Path) -> bool:
    """Return whether `make setup` keeps this environment, and has to make it again."""
    own, stamp = PROJECT / ".venv", PROJECT / ".venv" / "runtime.stamp"
    if not (PROJECT / "Makefile").is_file() or not own.is_dir() or not os.path.samefile(own, prefix):
        return False
    sources = (PROJECT / name for name in (_LOCK, "pyproject.toml"))
    return not stamp.exists() or any(source.stat().st_mtime > stamp.stat().st_mtime for source in sources)


def _is_locked(wanted: list[str], name: str = _LOCK) -> bool:
    lock = PROJECT / name
    text = lock.read_text(encoding="utf-8") if lock.is_file() else ""
    names = (_NAME.match(each) for each in wanted)
    return all(name and re.search(rf"^{re.escape(name[0])}==", text, re.MULTILINE) for name in names)


def _is_installed() -> bool:
    try:
        return bool(metadata.version("pawsort"))
    except metadata.PackageNotFoundError:
        return False


def _pip(prefix: Path, *words: str) -> str:
    python = str(prefix / "bin" / "python") if (prefix / "bin" / "python").exists() else sys.executable
    if find_spec("pip") is None:  # uv makes environments without it
        return shlex.join(["uv", "pip", "install", "--python", python, *words])
    return shlex.join([python, "-m", "pip", "install", *words])
