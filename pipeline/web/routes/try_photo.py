"""The page Try: classify photos and show what the worker would do with them. Nothing is stored."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from models.inference.imagenet_bundle import NAME as IMAGENET
from pipeline.reasons import because
from pipeline.web.middleware.problems import Problem
from pipeline.web.routes.parameters import Text
from pipeline.web.served_models.model_registry import MAKE_IMAGENET, Choice
from pipeline.web.services.classify_uploads import LOOK_PIXELS, Answer, answers, heat, scratch
from pipeline.web.services.context import AppContext, ContextDep, Page
from pipeline.web.services.delivery import moving_inboxes
from pipeline.web.services.pictures import draw_jpeg, jpeg_response
from pipeline.web.services.uploads import Upload, received
from pipeline.web.views.decision_text import plan
from pipeline.web.views.rendering import render

router = APIRouter(include_in_schema=False)
PAGE = Page("Try", "/", 10)

TOP = 5
"""Number of most likely classes that are shown."""


@dataclass(frozen=True, slots=True)
class Card:
    """The answer for one photo; `picture` is the token of its preview, None without one."""

    answer: Answer
    picture: str | None
    plan: str
    why: str | None
    top: list[tuple[str, float]]
    others: int


@router.get("/")
def page(request: Request, context: ContextDep, model: Text | None = None) -> Response:
    """Return the page."""
    return _page(request, context, context.models.one(model))


@router.post("/try")
async def ask(request: Request, context: ContextDep) -> Response:
    """Classify photos; return their cards for the script of the page, the whole page without scripts."""
    async with received(request, scratch(context), context.settings.limits) as form:
        choice = await asyncio.to_thread(context.models.one, form.fields.get("model"))
        if not form.files or not any(upload.bytes for upload in form.files):
            raise Problem(422, "No photo was chosen.", "Choose one, and try again.")
        found = await answers(context, choice, form.files)
        cards = [await _card(context, *pair) for pair in zip(found, form.files, strict=True)]
    if request.headers.get("x-part"):
        return render(request, "try_cards.html", cards=cards)
    return _page(request, context, choice, cards)


@router.post("/try/heat")
async def look(request: Request, context: ContextDep) -> Response:
    """Return a heatmap of the regions that support a label."""
    async with received(request, scratch(context), context.settings.limits) as form:
        choice = await asyncio.to_thread(context.models.one, form.fields.get("model"))
        if len(form.files) != 1:
            raise Problem(422, "No photo was chosen.", "Choose one, and try again.")
        label = form.fields.get("label", "")
        token = _cached(context, await heat(context, choice, form.files[0], label))
    return render(request, "try_heat.html", token=token, label=label)


@router.post("/try/wake")
def wake(context: ContextDep, model: Text | None = None) -> dict[str, bool]:
    """Start to load a model, because the visitor is about to choose a photo."""
    choice = context.models.one(model)
    context.classifiers.preload(choice.bundle.path)
    return {"awake": context.classifiers.is_ready(choice.bundle.path)}


@router.get("/try/pictures/{token}")
def picture(context: ContextDep, token: str) -> Response:
    """Return the picture of an answer, while it is cached."""
    jpeg = context.pictures.get(token)
    if jpeg is None:
        raise Problem(404, "This picture is no longer cached.", "Choose the photo again.")
    return jpeg_response(jpeg, "private, max-age=600")


def _page(request: Request, context: AppContext, choice: Choice, cards: list[Card] | None = None) -> Response:
    choices = context.models.all()
    return render(
        request,
        "try.html",
        choices=choices,
        chosen=choice,
        make_imagenet=None if any(each.key == IMAGENET for each in choices) else MAKE_IMAGENET,
        cards=cards or [],
        limits=context.settings.limits,
        inbox=moving_inboxes(context.settings)[0],
    )


async def _card(context: AppContext, answer: Answer, upload: Upload) -> Card:
    classified = answer.classified
    scores: dict[str, float] = classified.scores or {}
    ranked = sorted(scores.items(), key=lambda pair: -pair[1])
    return Card(
        answer=answer,
        picture=await _picture(context, upload) if scores else None,
        plan=plan(classified, answer.policy, answer.choice.is_workers),
        why=because(classified.reason) if classified.reason else None,
        top=ranked[:TOP],
        others=max(0, len(answer.choice.bundle.labels) - TOP) if scores else 0,
    )


async def _picture(context: AppContext, upload: Upload) -> str | None:
    try:
        jpeg = await draw_jpeg(context, upload.path.parent, upload.path.name.encode(), LOOK_PIXELS)
    except Problem:
        return None  # the answer is useful without a preview
    return _cached(context, jpeg)


def _cached(context: AppContext, jpeg: bytes) -> str:
    token = secrets.token_urlsafe(16)
    context.pictures.put(token, jpeg)
    return token
