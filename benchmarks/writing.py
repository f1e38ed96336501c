"""Summarise the figures of several runs, and write them into `docs/dev/performance.md`."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import statistics
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "dev" / "performance.md"

SLICE = ", core ms a photo"
"""How figures end that are drawn as one picture."""

_PACKAGES = ("tensorflow", "openvino", "pillow", "numpy", "sqlalchemy")
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd")


def machine() -> dict[str, str]:
    """Describe what the figures were measured on."""
    model, flags = _cpu()
    return {
        "processor": f"{model or platform.machine()}, {os.cpu_count()} cores, {', '.join(flags)}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"Linux {platform.release()}, Python {platform.python_version()}",
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "load": f"{os.getloadavg()[0]:.1f} programs ran or wanted to when it began",
    }


def _cpu() -> tuple[str, list[str]]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return "", []
    model = re.search(r"model name\s*: (.*)", text)
    flags = set(" ".join(re.findall(r"(?:flags|Features)\s*: (.*)", text)).split())
    return model[1] if model else "", [name for name in _INSTRUCTIONS if name in flags]


def summary(runs: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return the median, least and greatest of every figure."""
    return {
        name: {
            "median": statistics.median(run[name] for run in runs),
            "min": min(run[name] for run in runs),
            "max": max(run[name] for run in runs),
        }
        for name in runs[0]
    }


def write(name: str, photos: int, runs: int, figures: dict[str, dict[str, float]], page: Path = PAGE) -> None:
    """Replace the table of one benchmark on the page."""
    replace(name, table(name, photos, runs, figures), page)


def replace(name: str, text: str, page: Path) -> None:
    """Replace what stands on a page between the two marks of a name, and leave the rest alone."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    before, rest = page.read_text(encoding="utf-8").split(begin)
    _, after = rest.split(end)
    page.write_text(f"{before}{begin}\n{text}{end}{after}", encoding="utf-8")


def table(name: str, photos: int, runs: int, figures: dict[str, dict[str, float]]) -> str:
    """Return the figures as Markdown, with the command that gives them and the machine."""
    rows = [f"| {key} | {f['median']:g} | {f['min']:g} to {f['max']:g} |" for key, f in figures.items()]
    command = f"python -m benchmarks {name} --photos {photos} --runs {runs}"
    lines = [
        f"`{command}` on {dt.datetime.now(dt.UTC):%Y-%m-%d}:",
        "",
        *(f"- {key}: {value}" for key, value in machine().items()),
        "",
        "| figure | median | of all runs |",
        "|---|---|---|",
        *rows,
        *_pie({key: f["median"] for key, f in figures.items() if key.endswith(SLICE)}),
    ]
    return "\n".join(lines) + "\n"


def _pie(slices: dict[str, float]) -> list[str]:
    if not slices:
        return []
    parts = [f'    "{key.removesuffix(SLICE)}" : {value:g}' for key, value in slices.items()]
    return ["", "```mermaid", "pie showData title Where the core time of a photo goes, in ms", *parts, "```"]
