"""What a safeguard is to `scripts.mutations`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Safeguard:
    """`text` stands once in `file`; `without` is what remains; `tests` are pytest's ids.

    `faults` are numbers of tests/faults/catalogue.py: for each, a test that carries its mark must go red.
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
