"""Draw cats, dogs and other things from seeds, because photographs have a copyright."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFilter

SIDE = 640
Colour = tuple[int, int, int]
Pen = ImageDraw.ImageDraw

FURS: tuple[Colour, ...] = (
    (198, 128, 66), (120, 112, 108), (62, 54, 52), (226, 214, 196), (150, 104, 70), (216, 170, 112),
)  # fmt: skip
WALLS: tuple[Colour, ...] = (
    (168, 190, 178),
    (204, 190, 170),
    (150, 172, 198),
    (196, 168, 160),
    (176, 178, 150),
)


def draw(kind: str, seed: int) -> Image.Image:
    """Return an RGB picture of a `cat`, a `dog` or a `thing`, always the same for the same seed."""
    chance = random.Random(f"{kind} {seed}")  # noqa: S311 - for pictures
    image = _room(chance)
    _KINDS[kind](ImageDraw.Draw(image), chance)
    grain = Image.effect_noise(image.size, 18).convert("RGB")
    return Image.blend(image.filter(ImageFilter.GaussianBlur(1.2)), grain, 0.05)


def _room(chance: random.Random) -> Image.Image:
    wall = chance.choice(WALLS)
    image = Image.new("RGB", (SIDE, SIDE), wall)
    pen = ImageDraw.Draw(image)
    for _ in range(14):
        x, y, r = chance.randint(0, SIDE), chance.randint(0, SIDE), chance.randint(40, 150)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=_shade(wall, chance.uniform(0.82, 1.15)))
    floor = chance.randint(430, 500)
    pen.rectangle((0, floor, SIDE, SIDE), fill=_shade(chance.choice(FURS), 1.1))
    return image.filter(ImageFilter.GaussianBlur(16))


def _cat(pen: Pen, chance: random.Random) -> None:
    fur = chance.choice(FURS)
    x, y, r = 320 + chance.randint(-40, 40), 300 + chance.randint(-20, 30), chance.randint(140, 165)
    _blob(pen, x, y + 1.75 * r, 1.15 * r, 1.3 * r, _shade(fur, 0.92), chance)
    for side in (-1, 1):
        tip, inner = (x + side * 0.82 * r, y - 1.45 * r), (x + side * 0.76 * r, y - 1.2 * r)
        pen.polygon([(x + side * 0.98 * r, y - 0.25 * r), tip, (x + side * 0.2 * r, y - 0.82 * r)], fill=fur)
        pen.polygon(
            [(x + side * 0.85 * r, y - 0.5 * r), inner, (x + side * 0.4 * r, y - 0.78 * r)],
            fill=(222, 160, 150),
        )
    _blob(pen, x, y, 1.08 * r, 0.95 * r, fur, chance)
    for stripe in (-0.22, 0, 0.22):
        pen.line(
            (x + stripe * r, y - 0.92 * r, x + stripe * 0.7 * r, y - 0.55 * r),
            fill=_shade(fur, 0.6),
            width=12,
        )
    for side in (-1, 1):
        _eye(
            pen,
            x + side * 0.42 * r,
            y - 0.1 * r,
            0.2 * r,
            chance.choice([(150, 190, 80), (214, 176, 60)]),
            0.35,
        )
    _blob(pen, x - 0.2 * r, y + 0.42 * r, 0.27 * r, 0.22 * r, _shade(fur, 1.3), chance)
    _blob(pen, x + 0.2 * r, y + 0.42 * r, 0.27 * r, 0.22 * r, _shade(fur, 1.3), chance)
    pen.polygon(
        [(x - 0.11 * r, y + 0.22 * r), (x + 0.11 * r, y + 0.22 * r), (x, y + 0.35 * r)], fill=(214, 128, 122)
    )
    for side in (-1, 1):
        for lift in (-0.12, 0.02, 0.16):
            ends = (
                x + side * 0.28 * r,
                y + (0.4 + lift / 2) * r,
                x + side * 1.3 * r,
                y + (0.34 + lift * 1.6) * r,
            )
            pen.line(ends, fill=(250, 248, 244), width=3)


def _dog(pen: Pen, chance: random.Random) -> None:
    fur = chance.choice(FURS)
    x, y, r = 320 + chance.randint(-40, 40), 290 + chance.randint(-20, 30), chance.randint(135, 160)
    _blob(pen, x, y + 1.9 * r, 1.2 * r, 1.3 * r, _shade(fur, 0.92), chance)
    _blob(pen, x, y, 0.95 * r, 1.0 * r, fur, chance)
    for side in (-1, 1):
        _blob(pen, x + side * 1.0 * r, y + 0.1 * r, 0.34 * r, 0.82 * r, _shade(fur, 0.66), chance)
        _eye(pen, x + side * 0.36 * r, y - 0.18 * r, 0.14 * r, (84, 54, 32), 0.8)
    _blob(pen, x, y + 0.48 * r, 0.56 * r, 0.5 * r, _shade(fur, 1.25), chance)
    pen.ellipse((x - 0.16 * r, y + 0.68 * r, x + 0.16 * r, y + 1.2 * r), fill=(224, 116, 122))
    pen.chord((x - 0.42 * r, y + 0.3 * r, x + 0.42 * r, y + 0.84 * r), 10, 170, fill=(96, 52, 48))
    pen.ellipse((x - 0.22 * r, y + 0.14 * r, x + 0.22 * r, y + 0.42 * r), fill=(38, 32, 32))
    pen.ellipse((x - 0.1 * r, y + 0.18 * r, x, y + 0.24 * r), fill=(150, 146, 146))


def _thing(pen: Pen, chance: random.Random) -> None:
    for _ in range(chance.randint(5, 9)):
        x, y, r = chance.randint(140, 500), chance.randint(260, 520), chance.randint(46, 80)
        colour = chance.choice([(214, 96, 50), (226, 178, 52), (126, 160, 64), (190, 58, 58)])
        pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)
        pen.ellipse((x - 0.5 * r, y - 0.6 * r, x - 0.1 * r, y - 0.3 * r), fill=_shade(colour, 1.4))
        pen.line((x, y - r, x + 8, y - r - 20), fill=(84, 62, 40), width=7)


_KINDS: dict[str, Callable[[Pen, random.Random], None]] = {"cat": _cat, "dog": _dog, "thing": _thing}


def _blob(pen: Pen, x: float, y: float, a: float, b: float, colour: Colour, chance: random.Random) -> None:
    """An ellipse with an edge of fur."""
    pen.ellipse((x - a, y - b, x + a, y + b), fill=colour)
    for _ in range(420):
        angle, inside = chance.uniform(0, math.tau), chance.uniform(0.2, 1.0) ** 0.5
        px, py = x + inside * a * math.cos(angle), y + inside * b * math.sin(angle)
        length = chance.uniform(8, 20)
        end = (px + length * math.cos(angle), py + length * math.sin(angle) + 4)
        pen.line((px, py, *end), fill=_shade(colour, chance.uniform(0.8, 1.2)), width=3)


def _eye(pen: Pen, x: float, y: float, r: float, iris: Colour, pupil: float) -> None:
    pen.ellipse((x - 1.1 * r, y - r, x + 1.1 * r, y + r), fill=(30, 26, 24))
    pen.ellipse((x - r, y - 0.92 * r, x + r, y + 0.92 * r), fill=iris)
    pen.ellipse((x - pupil * 0.75 * r, y - 0.75 * r, x + pupil * 0.75 * r, y + 0.75 * r), fill=(18, 16, 16))
    pen.ellipse((x - 0.4 * r, y - 0.5 * r, x - 0.1 * r, y - 0.2 * r), fill=(250, 250, 250))


def _shade(colour: Colour, share: float) -> Colour:
    red, green, blue = (min(255, max(0, round(part * share))) for part in colour)
    return red, green, blue
