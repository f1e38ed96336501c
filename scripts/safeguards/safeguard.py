"""A safeguard, as `scripts.mutations` removes it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Safeguard:
    """`text` occurs once in `file` and is replaced by `without`; `tests` are ids of pytest.

    `faults` are numbers of tests/faults/catalogue.py: for each, a test with its mark must fail.
    """

    name: str
    file: str
    text: str
    without: str
    faults: tuple[int, ...]
    tests: tuple[str, ...]


def of(
    name: str, file: str, text: str, without: str, faults: tuple[int, ...], tests: tuple[str, ...]
) -> Safeguard:
    """Make a safeguard; tests are named from `tests/` on."""
    return Safeguard(name, file, text, without, faults, tuple(f"tests/{test}" for test in tests))
