"""Plot the curves as PNG, for light and dark themes. Needs matplotlib, from the extra `train`."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from models.errors import need
from models.evaluation.metrics.curves import Curve
from models.evaluation.metrics.figures import Evaluation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

MOST_NAMED = 10  # labels; of more, curves are drawn thin and without names
_MOST_NUMBERED = 20  # labels; of more, the cells of the confusion matrix hold no numbers
_SIZE, _DPI = (5.0, 4.0), 120  # inches


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of a plot."""

    paper: str
    ink: str
    quiet: str
    line: str
    accent: str
    series: tuple[str, ...]
    scale: str  # matplotlib's name of a colour map from paper to strong


LIGHT = Theme(
    "#ffffff", "#231f1a", "#665d53", "#e4dccf", "#a3461d",
    ("#a3461d", "#17658a", "#6d4fa3", "#1f6b3a", "#ad2a1c",
     "#855300", "#3d3d8f", "#00707a", "#8a2e6b", "#555555"),
    "Oranges",
)  # fmt: skip
DARK = Theme(
    "#211e1a", "#f2ece3", "#b5aa9c", "#38332c", "#f0935f",
    ("#f0935f", "#6fbfe4", "#b79cf0", "#7fd39b", "#ff9d8f",
     "#efbf62", "#a3a8ff", "#63d3d3", "#f09ad0", "#bbbbbb"),
    "copper",
)  # fmt: skip


def need_all() -> None:
    """Check before a long measurement that its page can be written. Raises PackageMissing."""
    for package in ("matplotlib", "jinja2"):
        need(package, "leave out --out")


def draw(result: Evaluation, curves: Sequence[Curve], theme: Theme = LIGHT) -> dict[str, bytes]:
    """Return each plot as PNG by its name; those without a curve are left out. Raises PackageMissing."""
    need("matplotlib", "leave out --out")
    by_kind: dict[str, list[Curve]] = {}
    for curve in curves:
        if curve.points:
            by_kind.setdefault(curve.kind, []).append(curve)
    plots: dict[str, bytes] = {}
    if any(any(row.values()) for row in result.confusion.values()):
        plots["confusion"] = _png(theme, lambda axes: _confusion(axes, result.confusion, theme))
    plots["promises"] = _png(theme, lambda axes: _promises(axes, result, theme))
    drawers: Mapping[str, Callable[..., None]] = {
        "reliability": _reliability, "risk_coverage": _risk_coverage, "roc": _roc, "pr": _pr,
    }  # fmt: skip
    for kind, drawer in drawers.items():
        if kind in by_kind:
            plots[kind] = _png(theme, partial(drawer, curves=by_kind[kind], theme=theme))
    return plots


def _png(theme: Theme, drawer: Callable[[Any], None]) -> bytes:
    from matplotlib.figure import Figure

    with _quietly():
        figure = Figure(figsize=_SIZE, dpi=_DPI, facecolor=theme.paper, layout="constrained")
        axes = figure.subplots()
        axes.set_facecolor(theme.paper)
        axes.tick_params(colors=theme.quiet, labelsize=9)
        axes.grid(color=theme.line, linewidth=0.8)
        axes.set_axisbelow(True)
        for spine in axes.spines.values():
            spine.set_color(theme.line)
        drawer(axes)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


@contextmanager
def _quietly() -> Iterator[None]:
    """Ignore warnings about letters that matplotlib's font lacks: a label may be in any language."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing", category=UserWarning)
        yield


def _plain(label: str) -> str:
    """Escape a label for matplotlib: no formula, and no leading underscore, which legends leave out."""
    return (" " if label.startswith("_") else "") + label.replace("$", r"\$")


def _name(axes: Axes, theme: Theme, x: str, y: str) -> None:
    axes.set_xlabel(x, color=theme.ink, fontsize=10)
    axes.set_ylabel(y, color=theme.ink, fontsize=10)


def _legend(axes: Axes, theme: Theme, place: Any) -> None:
    legend = axes.legend(
        loc=place, fontsize=9, facecolor=theme.paper, edgecolor=theme.line, labelcolor=theme.ink
    )
    legend.get_frame().set_alpha(0.9)


def _confusion(axes: Axes, table: Mapping[str, Mapping[str, int]], theme: Theme) -> None:
    counts = np.array([list(row.values()) for row in table.values()], dtype=float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.grid(visible=False)
    # A root, so that one mistake in a thousand is still seen.
    axes.imshow(np.sqrt(shares), cmap=theme.scale, vmin=0, vmax=1, aspect="auto")
    names = [_plain(name) for name in table]
    few = len(names) <= _MOST_NUMBERED
    step = 1 if few else -(-len(names) // _MOST_NUMBERED)
    places = range(0, len(names), step)
    axes.set_xticks(list(places), names[::step], rotation=0 if len(names) <= 5 else 60)
    axes.set_yticks(list(places), names[::step])
    _name(axes, theme, "predicted", "true")
    if few:
        for (row, column), count in np.ndenumerate(counts):
            strong = np.sqrt(shares[row, column]) > 0.55
            colour = theme.paper if strong and theme is LIGHT else "#231f1a" if strong else theme.ink
            axes.text(column, row, f"{count:.0f}", ha="center", va="center", color=colour, fontsize=9)


def _reliability(axes: Axes, curves: list[Curve], theme: Theme) -> None:
    points = [p for p in curves[0].points if p.count]
    x, y = np.array([p.x for p in points]), np.array([p.y for p in points])
    low, high = np.array([p.low or 0.0 for p in points]), np.array([p.high or 0.0 for p in points])
    axes.plot(
        [0, 1],
        [0, 1],
        color=theme.quiet,
        linestyle="--",
        linewidth=1,
        label="perfect calibration",
    )
    reach = np.maximum(np.stack([y - low, high - y]), 0)
    counts = np.array([p.count or 0 for p in points], dtype=float)
    axes.errorbar(x, y, reach, color=theme.accent, fmt="none", capsize=3, linewidth=1.2, alpha=0.7)
    axes.scatter(
        x, y, 15 + 250 * counts / counts.max(), color=theme.accent, label="photos: a larger dot, more"
    )
    axes.set(xlim=(0, 1.03), ylim=(0, 1.03))
    _name(axes, theme, "confidence", "share that is right")
    _legend(axes, theme, "upper left")


def _risk_coverage(axes: Axes, curves: list[Curve], theme: Theme) -> None:
    points = curves[0].points
    axes.plot([p.x for p in points], [p.y for p in points], color=theme.accent, linewidth=2)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(bottom=0)
    _name(axes, theme, "share of photos, the most confident first", "share of these that is wrong")


def _roc(axes: Axes, curves: list[Curve], theme: Theme) -> None:
    axes.plot([0, 1], [0, 1], color=theme.quiet, linestyle="--", linewidth=1)
    _lines(axes, curves, theme)
    _name(axes, theme, "false positive rate", "true positive rate")
    axes.set(xlim=(-0.01, 1.01), ylim=(0, 1.01))


def _pr(axes: Axes, curves: list[Curve], theme: Theme) -> None:
    _lines(axes, curves, theme)
    _name(axes, theme, "recall", "precision")
    axes.set(xlim=(0, 1.01), ylim=(0, 1.01))


def _lines(axes: Axes, curves: list[Curve], theme: Theme) -> None:
    named = len(curves) <= MOST_NAMED
    for index, curve in enumerate(curves):
        axes.plot(
            [p.x for p in curve.points], [p.y for p in curve.points],
            color=theme.series[index % len(theme.series)],
            linewidth=2 if named else 0.7, alpha=1 if named else 0.5,
            label=_plain(curve.of) if named else None,
        )  # fmt: skip
    if named:
        _legend(axes, theme, "lower right" if curves[0].kind == "roc" else "lower left")


def _promises(axes: Axes, result: Evaluation, theme: Theme) -> None:
    entries = [at for at in result.at_targets if at.target_precision < 1]
    x = list(range(len(entries)))
    lines = {
        "photos with a folder that are filed": [at.coverage for at in entries],
        "of these, in the right one": [at.precision for at in entries],
        "photos of neither that are filed": [at.neither_filed for at in entries],
    }
    for (label, shares), colour in zip(lines.items(), theme.series[1:], strict=False):
        places = [i for i in x if shares[i].value is not None]
        values = [shares[i].value or 0.0 for i in places]
        if places:
            axes.plot(places, values, color=colour, marker="o", markersize=4, linewidth=2, label=label)
            low, high = [shares[i].low for i in places], [shares[i].high for i in places]
            axes.fill_between(places, low, high, color=colour, alpha=0.15)
    axes.set_xticks(x, [f"{100 * at.target_precision:g}%" for at in entries])
    axes.set_ylim(0, 1.01)
    _name(axes, theme, "target precision", "share of photos")
    if axes.lines:
        _legend(axes, theme, "center left")
