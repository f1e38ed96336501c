"""One made file, and what may become of it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

OK = "classified"
REASONS = frozenset(
    {
        "empty",
        "too_large",
        "too_many_pixels",
        "too_many_frames",
        "not_an_image",
        "unsupported",
        "truncated",
        "corrupt",
    }
)
ANYTHING = REASONS | {OK}

FINE = frozenset({OK})
UNSUPPORTED = frozenset({"unsupported"})
TRUNCATED = frozenset({"truncated"})
CORRUPT = frozenset({"corrupt"})
DAMAGED = frozenset({"truncated", "corrupt"})
TOO_MANY = frozenset({"too_many_pixels"})
NO_IMAGE = frozenset({"not_an_image"})
EMPTY = frozenset({"empty"})


@dataclass(frozen=True, slots=True)
class Case:
    """A file by its name, and the ends that are right for it."""

    name: str
    data: bytes
    allowed: frozenset[str]


def cuts(cases: Iterable[Case], pieces: int) -> Iterator[Case]:
    """Cut each file at so many points; what is left may be whole, if only an ornament was cut off."""
    for case in cases:
        for n in range(pieces):
            at = len(case.data) * n // pieces
            allowed = EMPTY if at == 0 else case.allowed | DAMAGED | NO_IMAGE
            yield Case(f"{case.name}, cut at {at}", case.data[:at], allowed)


def mutants(cases: list[Case], count: int, seed: int) -> Iterator[Case]:
    """Damage files at random, always the same for a seed: bits, bytes, lengths, blocks."""
    chance = random.Random(seed)
    for n in range(count):
        case = chance.choice(cases)
        data = bytearray(case.data)
        ways = [chance.choice(_WAYS) for _ in range(chance.choice((1, 1, 1, 2, 3, 8)))]
        for way in ways:
            if data:
                way(data, chance)
        yield Case(f"mutant {n} of seed {seed}: {case.name}", bytes(data), ANYTHING)


def _at(data: bytearray, chance: random.Random) -> int:
    """Choose a place, more often in the header, where lies count."""
    return chance.randrange(min(len(data), chance.choice((64, 512, len(data)))))


def _flip(data: bytearray, chance: random.Random) -> None:
    data[_at(data, chance)] ^= 1 << chance.randrange(8)


def _set(data: bytearray, chance: random.Random) -> None:
    data[_at(data, chance)] = chance.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))


def _number(data: bytearray, chance: random.Random) -> None:
    width = chance.choice((2, 4, 8))
    value = chance.choice((0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 10**4, 10**6))
    order = chance.choice(("big", "little"))
    at = _at(data, chance)
    data[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, order)


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[_at(data, chance) :]


def _drop(data: bytearray, chance: random.Random) -> None:
    at = _at(data, chance)
    del data[at : at + chance.randrange(1, 64)]


def _double(data: bytearray, chance: random.Random) -> None:
    at, length = _at(data, chance), chance.randrange(1, 300)
    data[at:at] = data[at : at + length]


def _noise(data: bytearray, chance: random.Random) -> None:
    at, length = _at(data, chance), chance.randrange(1, 64)
    data[at : at + length] = chance.randbytes(length)


def _zeros(data: bytearray, chance: random.Random) -> None:
    at, length = _at(data, chance), chance.randrange(1, 300)
    data[at : at + length] = bytes(length)


_WAYS = (_flip, _flip, _flip, _set, _set, _number, _number, _cut, _drop, _double, _noise, _zeros)
