"""Charts as inline SVG, without scripts or inline styles; CSS classes give the colours.

Each function takes numbers and returns markup with escaped text. For screen readers a chart is one image,
named by its `title`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 960.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 8.0, 16.0, 36.0
TICKS = 4
WIDEST = 72.0
"""Maximum width of a column, so that a single one does not fill the chart."""


SAME_COLOUR = {0: {"cats", "cat"}, 1: {"dogs", "dog"}, 4: {"uncertain", "neither"}}
"""Names that have the colour of a number in the style sheet."""


@dataclass(frozen=True, slots=True)
class Series:
    """A data series: `name` for the legend, `css` the class that colours it."""

    name: str
    css: str


def series_of(names: Sequence[str]) -> list[Series]:
    """Return a series for each name; those without a colour in the style sheet get a free numbered one."""
    known = {"failed", "waiting", "undone", "removed"}.union(*SAME_COLOUR.values())
    free = itertools.cycle(n for n in range(6) if SAME_COLOUR.get(n, set()).isdisjoint(names))
    return [Series(name, f"of-{name}" if name in known else f"of-{next(free)}") for name in names]


def columns(title: str, bars: Sequence[tuple[str, Mapping[str, float]]], series: Sequence[Series]) -> Markup:
    """Draw stacked columns, one for each (label, value by series); the first series stands at the bottom."""
    top = nice(max((sum(values.values()) for _, values in bars), default=0))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(bars))
    width = min(0.76 * step, WIDEST)
    drawn = [_grid(top)]
    for number, (label, values) in enumerate(bars):
        left, base = LEFT + number * step, 0.0
        stack = []
        for part in series:
            value = values.get(part.name, 0)
            if value:
                stack.append(_rect(left + (step - width) / 2, base, width, value, top, part.css))
            base += value
        said = ", ".join(f"{_number(values[p.name])} {p.name}" for p in series if values.get(p.name))
        drawn.append(
            Markup("<g><title>{}: {}</title>{}</g>").format(label, said or "none", Markup("").join(stack))
        )
        drawn.append(_label(left + step / 2, label, _sparse(len(bars) - 1 - number, len(bars))))
    return _svg(title, drawn)


def histogram(counts: Sequence[int], title: str, link: Sequence[str] = ()) -> Markup:
    """Draw counts of equal bins from 0 to 1 as columns; `link` has an address for each."""
    top = max(counts, default=0) or 1
    step = (WIDTH - 2 * RIGHT) / max(1, len(counts))
    drawn = []
    for number, count in enumerate(counts):
        # By its square root, because the last bin holds nearly all photos.
        height = 64 * math.sqrt(count / top) if count else 0.0
        height = max(height, 2.0) if count else 0.0
        words = f"{100 * number // len(counts)} to {100 * (number + 1) // len(counts)} %: {count:,}"
        place = f"{RIGHT + (number + 0.08) * step:.1f}", f"{68 - height:.1f}"
        rect = Markup('<rect x="{}" y="{}" width="{:.1f}" height="{:.1f}" class="of-all">{}</rect>').format(
            *place, 0.84 * step, height, Markup("<title>{}</title>").format(words)
        )
        drawn.append(Markup('<a href="{}">{}</a>').format(link[number], rect) if link and count else rect)
    return _svg(title, drawn, 72.0)


def lines(
    title: str,
    found: Sequence[tuple[Series, Sequence[tuple[float, float]]]],
    low: float = 0.0,
    high: float | None = None,
    diagonal: bool = False,
) -> Markup:
    """Draw lines through (x, y), each series one; `low` and `high` bound y, `diagonal` marks x = y."""
    points = [point for _, line in found for point in line]
    if not points:
        return Markup("")
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    if diagonal:
        first, last = 0.0, 1.0
    top = high if high is not None else nice(max(y for _, y in points))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - first) / (last - first) if last > first else 0.5
        up = (y - low) / (top - low) if top > low else 0.5
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    drawn = [_grid(top, low)]
    if diagonal:
        drawn.append(_path("ideal", [place(0, 0), place(1, 1)]))
    for part, line in found:
        drawn.append(_path(f"line {part.css}", [place(x, y) for x, y in line]))
        drawn += [_dot(place(x, y), f"{part.name}: {y:.4g} at {x:g}", part.css) for x, y in line]
    drawn += [_label(LEFT, _number(first), ""), _label(WIDTH - RIGHT - 12, _number(last), "")]
    return _svg(title, drawn)


def interval(value: float, low: float | None, high: float | None, least: float) -> Markup:
    """Draw a share with its interval on a line from `least` to 1."""

    def across(share: float) -> float:
        return 4 + 152 * (max(share, least) - least) / (1 - least) if least < 1 else 4.0

    drawn = [Markup('<line class="axis" x1="4" x2="156" y1="8" y2="8"/>')]
    if low is not None and high is not None:
        drawn.append(
            Markup('<line class="span" x1="{:.1f}" x2="{:.1f}" y1="8" y2="8"/>').format(
                across(low), across(high)
            )
        )
    drawn.append(Markup('<circle class="point" cx="{:.1f}" cy="8" r="4.5"/>').format(across(value)))
    return Markup('<svg class="interval" viewBox="0 0 160 16" aria-hidden="true">{}</svg>').format(
        Markup("").join(drawn)
    )


def legend(series: Iterable[Series]) -> Markup:
    """Return the legend of the series."""
    items = (Markup('<li><i class="{}"></i>{}</li>').format(part.css, part.name) for part in series)
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))


def nice(value: float) -> float:
    """Return a round upper bound of `value` that four ticks divide well; 1 for 0."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    steps = (1, 1.2, 1.6, 2, 2.4, 2.8, 3.2, 3.6, 4, 4.8, 6, 8, 10) if power >= 10 else (1, 2, 4, 8, 10)
    return next(step * power for step in steps if value <= step * power * (1 + 1e-9))


def _svg(title: str, drawn: Iterable[Markup], height: float = HEIGHT) -> Markup:
    return Markup('<svg class="chart" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, height, title, Markup("").join(drawn)
    )


def _grid(top: float, low: float = 0.0) -> Markup:
    drawn = []
    for tick in range(TICKS + 1):
        y = HEIGHT - BOTTOM - tick / TICKS * (HEIGHT - TOP - BOTTOM)
        drawn.append(
            Markup('<line class="grid" x1="{:g}" x2="{:g}" y1="{:.1f}" y2="{:.1f}"/>').format(
                LEFT, WIDTH - RIGHT, y, y
            )
        )
        said = _number(low + (top - low) * tick / TICKS)
        drawn.append(Markup('<text class="tick" x="{:g}" y="{:.1f}">{}</text>').format(LEFT - 6, y + 4, said))
    return Markup("").join(drawn)


def _rect(x: float, base: float, width: float, value: float, top: float, css: str) -> Markup:
    room = HEIGHT - TOP - BOTTOM
    height = value / top * room
    y = HEIGHT - BOTTOM - (base + value) / top * room
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
        css, x, y, width, height
    )


def _path(css: str, points: Iterable[tuple[float, float]]) -> Markup:
    through = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return Markup('<polyline class="{}" points="{}"/>').format(css, through)


def _dot(place: tuple[float, float], words: str, css: str) -> Markup:
    title = Markup("<title>{}</title>").format(words)
    return Markup('<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="3.5">{}</circle>').format(
        css, *place, title
    )


def _label(x: float, words: str, css: str) -> Markup:
    return Markup('<text class="label {}" x="{:.1f}" y="{:g}">{}</text>').format(css, x, HEIGHT - 8, words)


def _sparse(number: int, count: int) -> str:
    """Return the CSS class that hides labels which would overlap; `number` counts from the last one."""
    every = max(1, math.ceil(count / 7))
    if number % every:
        return "never"
    return "" if number % (every * 2) == 0 else "wide"


def _number(value: float) -> str:
    if value >= 10_000:
        thousands = value / 1000
        return f"{thousands:g}k" if thousands < 10_000 else f"{thousands / 1000:g}M"
    return f"{value:,.0f}" if value == int(value) else f"{value:.3g}"
