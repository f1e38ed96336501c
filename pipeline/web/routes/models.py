"""The page Models: card and figures of each model, its training, and its precision in corrected files."""

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
from models.bundle.manifest import EVALUATION, Figure
from pipeline.decision import UNCERTAIN
from pipeline.files.safe_open import open_if_regular
from pipeline.web.middleware.visitor import chosen_name, visitor_name
from pipeline.web.routes.parameters import Number
from pipeline.web.served_models import measured_figures, promised_figures
from pipeline.web.served_models.model_registry import SHIPPED, Choice
from pipeline.web.served_models.promised_figures import Promise
from pipeline.web.services import learning
from pipeline.web.services.context import AppContext, ContextDep, Page
from pipeline.web.services.pictures import draw_jpeg
from pipeline.web.views.charts import Series, interval, legend, lines
from pipeline.web.views.markdown import LONGEST
from pipeline.web.views.markdown import render as markdown
from pipeline.web.views.rendering import render

router = APIRouter(prefix="/models", include_in_schema=False)
PAGE = Page("Models", "/models", 60)

NAMES = {
    "accuracy": "accuracy, all photos",
    "accuracy_with_folder": "accuracy, photos of a class",
    "precision_at_threshold": "precision of filed photos",
    "coverage_at_threshold": "filed share of photos of a class",
    "filed_right_at_threshold": "precision of filed photos, neither included",
    "neither_filed_at_threshold": "filed share of photos of neither",
    "neither_auroc": "neither against classes (AUROC)",
    "ece": "calibration error",
    "log_loss": "log loss",
}
"""Labels of the figures, in the order of their importance."""

IN_SHORT = 4
"""Number of figures in the overview: the filed share beside the precision, which alone says little."""

LONGEST_PIXELS = 320
"""Longer side of a picture of a mistake."""

SHARES = tuple(name for name in NAMES if name != "log_loss")


@router.get("")
def page(request: Request, context: ContextDep) -> Response:
    """Return the page with all models."""
    return overview(request, context)


def overview(request: Request, context: AppContext, wrong: Sequence[str] = ()) -> Response:
    """Return the page with all models, and why the last change was refused."""
    cards = [
        {"choice": choice, "figures": _figures(choice.bundle, _promise(context, choice.bundle))[:IN_SHORT]}
        for choice in context.models.all()
    ]
    return render(
        request,
        "models.html",
        cards=cards,
        learning=learning.state_of(context),
        least=learning.LEAST,
        wrong=wrong,
        whole=True,
        name=chosen_name(request),
        by=visitor_name(request),
        back="/models",
    )


@router.get("/{key}")
def one(request: Request, context: ContextDep, key: str) -> Response:
    """Return the page of one model. Raises Problem 404."""
    choice = context.models.one(key)
    bundle = choice.bundle
    folder = bundle.path / EVALUATION
    promise = _promise(context, bundle)
    return render(
        request,
        "model.html",
        choice=choice,
        bundle=bundle,
        card=card(bundle.path),
        figures=_figures(bundle, promise),
        promise=promise,
        history=_history(bundle.path),
        confusion=measured_figures.confusion(folder),
        reliability=_reliability(folder),
        worst=measured_figures.worst(folder),
        made=_moment(bundle.manifest.made.at),
        command=shlex.join(["pawsort", "evaluate", _called(bundle), "PHOTOS/", "--out", str(folder)]),
        live=_live(context, choice),
    )


@router.get("/{key}/worst/{number}", response_class=Response)
async def mistake(context: ContextDep, key: str, number: Number, why: bool = False) -> Response:
    """Return a JPEG of one of the worst mistakes, or of its heatmap. Raises Problem 404."""
    folder = context.models.one(key).bundle.path / EVALUATION
    return Response(
        await draw_jpeg(context, folder, measured_figures.picture(number, why), LONGEST_PIXELS),
        media_type="image/jpeg",
    )


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _called(bundle: Bundle) -> str:
    return bundle.path.name if bundle.path.parent == SHIPPED else str(bundle.path)


def _promise(context: AppContext, bundle: Bundle) -> Promise | None:
    return promised_figures.in_force(context.settings, bundle) if bundle.folders else None


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


def card(folder: Path) -> Markup:
    """Return the card of a bundle, without HTML and images; empty if it has none."""
    found = open_if_regular(folder, "README.md")
    if found is None:
        return Markup("")
    with open(found[0], encoding="utf-8", errors="replace") as file:
        return markdown(file.read(LONGEST))


def _history(folder: Path) -> list[tuple[str, Markup]]:
    """Return plots of the training history, if the bundle has one."""
    rows = measured_figures.read(folder, "history.csv")
    plots = []
    for title, names in (
        ("Loss by epoch", ("train_loss", "validation_loss")),
        ("Validation accuracy by epoch", ("validation_accuracy",)),
    ):
        found = [(Series(_label_of(name), f"of-{n}"), _line(rows, name)) for n, name in enumerate(names)]
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
    series = Series("accuracy", "of-0")
    drawn = [(series, sorted(found))] if found else []
    return lines("Accuracy by confidence", drawn, 0.0, 1.0, diagonal=True)


def _live(context: AppContext, choice: Choice) -> dict[str, Any] | None:
    """Return figures of the model from corrected files, None if there are none."""
    engine = context.database.reader()
    settled = review.settled(engine) if engine else []
    own = [part for part in settled if part.model_sha256 == choice.bundle.sha256]
    confusion = measured_figures.live_confusion(own)
    if confusion is None:
        return None
    folders = dict(choice.bundle.folders)
    return {
        "confusion": confusion,
        "kept": measured_figures.kept(own, folders),
        "doubted": _doubted(own, choice.bundle.labels),
        "total": sum(part.count for part in own),
    }


def _doubted(settled: Sequence[Settled], labels: Sequence[str]) -> tuple[int, int]:
    found = [part for part in settled if part.verdict == UNCERTAIN]
    return sum(part.count for part in found if part.is_right(labels)), sum(part.count for part in found)


def _label_of(name: str) -> str:
    return {"train_loss": "training", "validation_loss": "validation"}.get(name, "accuracy")
