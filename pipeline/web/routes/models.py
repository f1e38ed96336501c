"""Models: each bundle's card and figures, how its training went, how it did on what people settled."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from markupsafe import Markup

from db.queries import review
from db.queries.review import Settled
from models.bundle.bundle import Bundle
from models.bundle.manifest import Figure
from pipeline.decision import UNCERTAIN
from pipeline.web.classifiers import measured_figures, promised_figures
from pipeline.web.classifiers.model_registry import SHIPPED, Choice
from pipeline.web.classifiers.promised_figures import Promise
from pipeline.web.routes.parameters import Number
from pipeline.web.routes.thumbnails import drawn
from pipeline.web.services.context import AppContext, ContextDep, Page
from pipeline.web.services.plain_files import open_plain
from pipeline.web.views.charts import Series, interval, legend, lines
from pipeline.web.views.markdown import LONGEST
from pipeline.web.views.markdown import render as markdown
from pipeline.web.views.rendering import render

router = APIRouter(prefix="/models", include_in_schema=False)
PAGE = Page("Models", "/models", 60)

NAMES = {
    "accuracy": "right, of all photos",
    "accuracy_with_folder": "right, of photos of a class",
    "precision_at_threshold": "right, of what is filed",
    "coverage_at_threshold": "filed, of photos of a class",
    "filed_right_at_threshold": "right, of all that is filed, photos of neither included",
    "neither_filed_at_threshold": "filed all the same, of photos of neither",
    "neither_auroc": "neither told from the classes (AUROC)",
    "ece": "calibration error",
    "log_loss": "log loss",
}
"""Figures in the order in which they matter, in words."""

IN_SHORT = 4
"""Figures that tell models apart at a glance; where next to nothing is filed, all of it may well be right."""

LONGEST_PIXELS = 320
"""Of a picture of a mistake, the longer side."""

SHARES = tuple(name for name in NAMES if name != "log_loss")


@router.get("")
def page(request: Request, site: ContextDep) -> Response:
    """Show all models."""
    cards = [
        {"choice": choice, "figures": _figures(choice.bundle, _promise(site, choice.bundle))[:IN_SHORT]}
        for choice in site.choices.all()
    ]
    return render(request, "models.html", cards=cards)


@router.get("/{key}")
def one(request: Request, site: ContextDep, key: str) -> Response:
    """Show one model closely. Raises Problem 404."""
    choice = site.choices.one(key)
    bundle = choice.bundle
    folder = bundle.path / measured_figures.FOLDER
    promise = _promise(site, bundle)
    return render(
        request,
        "model.html",
        choice=choice,
        bundle=bundle,
        card=_card(bundle.path),
        figures=_figures(bundle, promise),
        promise=promise,
        history=_history(bundle.path),
        confusion=measured_figures.confusion(folder),
        reliability=_reliability(folder),
        worst=measured_figures.worst(folder),
        made=_moment(bundle.manifest.made.at),
        command=shlex.join(["pawsort", "evaluate", _called(bundle), "PHOTOS/", "--out", str(folder)]),
        live=_live(site, choice),
    )


@router.get("/{key}/worst/{number}", response_class=Response)
async def mistake(site: ContextDep, key: str, number: Number, why: bool = False) -> Response:
    """Return a JPEG of one of the worst mistakes, or of what spoke for the answer. Raises Problem 404."""
    folder = site.choices.one(key).bundle.path / measured_figures.FOLDER
    return Response(
        await drawn(site, folder, measured_figures.picture(number, why), LONGEST_PIXELS),
        media_type="image/jpeg",
    )


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _called(bundle: Bundle) -> str:
    return bundle.path.name if bundle.path.parent == SHIPPED else str(bundle.path)


def _promise(site: AppContext, bundle: Bundle) -> Promise | None:
    return promised_figures.in_force(site.settings, bundle) if bundle.folders else None


def _figures(bundle: Bundle, promise: Promise | None) -> list[dict[str, Any]]:
    found = promised_figures.figures(bundle, promise) if promise else bundle.figures
    kept = promise is None or promise.is_measured
    return [
        _figure(name, found[name], not kept and name.endswith(promised_figures.SUFFIX))
        for name in NAMES
        if name in found
    ]


def _figure(name: str, figure: Figure, is_calibrations: bool) -> dict[str, Any]:
    is_share = name in SHARES
    drawn = is_share and 0 <= figure.value <= 1
    least = 0.0 if figure.value < 0.5 else 0.5
    plot = interval(figure.value, figure.low, figure.high, least) if drawn else Markup("")
    words = NAMES[name] + (" *" if is_calibrations else "")
    return {"name": words, "figure": figure, "is_share": is_share, "plot": plot}


def _card(folder: Path) -> Markup:
    found = open_plain(folder, "README.md")
    if found is None:
        return Markup("")
    with open(found[0], encoding="utf-8", errors="replace") as file:
        return markdown(file.read(LONGEST))


def _history(folder: Path) -> list[tuple[str, Markup]]:
    """Draw how the training went, where the bundle kept it."""
    rows = measured_figures.read(folder, "history.csv")
    plots = []
    for title, names in (
        ("Loss by epoch", ("train_loss", "validation_loss")),
        ("Right by epoch, on photos kept for choosing", ("validation_accuracy",)),
    ):
        found = [(Series(_words(name), f"of-{n}"), _line(rows, name)) for n, name in enumerate(names)]
        found = [(series, line) for series, line in found if line]
        if found:
            low = 0.0 if "loss" in names[0] else max(0.0, min(y for _, line in found for _, y in line) - 0.02)
            high = None if "loss" in names[0] else 1.0
            plots.append((title, lines(title, found, low, high) + legend(series for series, _ in found)))
    return plots


def _line(rows: Sequence[dict[str, str]], name: str) -> list[tuple[float, float]]:
    pairs = [
        (measured_figures.number(row.get("epoch")), measured_figures.number(row.get(name))) for row in rows
    ]
    return [(x, y) for x, y in pairs if x is not None and y is not None]


def _reliability(folder: Path) -> Markup:
    found = measured_figures.curve(folder, "reliability").get("", [])
    series = Series("share that is right", "of-0")
    drawn = [(series, sorted(found))] if found else []
    return lines("How often it is right, by how sure it is", drawn, 0.0, 1.0, diagonal=True)


def _live(site: AppContext, choice: Choice) -> dict[str, Any] | None:
    """Return how the model did on what people settled, None before they settled anything of it."""
    engine = site.store.reader()
    settled = review.settled(engine) if engine else []
    own = [part for part in settled if part.model_sha256 == choice.bundle.sha256]
    confusion = measured_figures.live_confusion(own)
    if confusion is None:
        return None
    folders = dict(choice.bundle.folders)
    return {
        "confusion": confusion,
        "kept": measured_figures.kept(own, folders),
        "doubted": _doubted(own),
        "total": sum(part.count for part in own),
    }


def _doubted(settled: Sequence[Settled]) -> tuple[int, int]:
    found = [part for part in settled if part.verdict == UNCERTAIN]
    return sum(part.count for part in found if part.right), sum(part.count for part in found)


def _words(name: str) -> str:
    return {"train_loss": "training", "validation_loss": "kept for choosing"}.get(name, "right")
