"""Try: what is on this photo, and what would the worker do with it? Nothing is stored."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from models.inference.imagenet import NAME as IMAGENET
from pipeline.web.classifiers.classify import LOOK_PIXELS, Answer, answers, heat, scratch
from pipeline.web.classifiers.model_registry import MAKE_IMAGENET, Choice
from pipeline.web.middleware.problems import Problem
from pipeline.web.routes.parameters import Text
from pipeline.web.routes.thumbnails import drawn, jpeg_response
from pipeline.web.services.context import AppContext, ContextDep, Page
from pipeline.web.services.uploads import Upload, received
from pipeline.web.views.reasons import because
from pipeline.web.views.rendering import render
from pipeline.web.views.words import plan

router = APIRouter(include_in_schema=False)
PAGE = Page("Try", "/", 10)

TOP = 5
"""Classes that are shown, of as many as the model knows."""


@dataclass(frozen=True, slots=True)
class Card:
    """What is shown of one photo; `picture` is the token of its picture, None where there is none."""

    answer: Answer
    picture: str | None
    plan: str
    why: str | None
    top: list[tuple[str, float]]
    others: int


@router.get("/")
def page(request: Request, site: ContextDep, model: Text | None = None) -> Response:
    """Show the page."""
    return _page(request, site, site.choices.one(model))


@router.post("/try")
async def ask(request: Request, site: ContextDep) -> Response:
    """Answer photos: with their cards alone for the script of the page, with the whole page without it."""
    async with received(request, scratch(site), site.settings.limits) as form:
        choice = await asyncio.to_thread(site.choices.one, form.fields.get("model"))
        if not form.files or not any(upload.bytes for upload in form.files):
            raise Problem(422, "No photo was chosen.", "Choose one, and try again.")
        found = await answers(site, choice, form.files)
        cards = [await _card(site, *pair) for pair in zip(found, form.files, strict=True)]
    if request.headers.get("x-part"):
        return render(request, "try_cards.html", cards=cards)
    return _page(request, site, choice, cards)


@router.post("/try/heat")
async def look(request: Request, site: ContextDep) -> Response:
    """Answer with the photo on which the places glow that speak for a label."""
    async with received(request, scratch(site), site.settings.limits) as form:
        choice = await asyncio.to_thread(site.choices.one, form.fields.get("model"))
        if len(form.files) != 1:
            raise Problem(422, "No photo was chosen.", "Choose one, and try again.")
        label = form.fields.get("label", "")
        token = _shelved(site, await heat(site, choice, form.files[0], label))
    return render(request, "try_heat.html", token=token, label=label)


@router.post("/try/wake")
def wake(site: ContextDep, model: Text | None = None) -> dict[str, bool]:
    """Begin to load a model, since somebody is about to choose a photo."""
    choice = site.choices.one(model)
    site.kennel.wake(choice.bundle.path)
    return {"awake": site.kennel.is_awake(choice.bundle.path)}


@router.get("/try/pictures/{token}")
def picture(site: ContextDep, token: str) -> Response:
    """Return a picture that was drawn for an answer, while it is remembered."""
    jpeg = site.shelf.get(token)
    if jpeg is None:
        raise Problem(404, "This picture is forgotten.", "Choose the photo again.")
    return jpeg_response(jpeg, "private, max-age=600")


def _page(request: Request, site: AppContext, choice: Choice, cards: list[Card] | None = None) -> Response:
    choices = site.choices.all()
    return render(
        request,
        "try.html",
        choices=choices,
        chosen=choice,
        make_imagenet=None if any(each.key == IMAGENET for each in choices) else MAKE_IMAGENET,
        cards=cards or [],
        limits=site.settings.limits,
        inbox=site.settings.inboxes[0],
    )


async def _card(site: AppContext, answer: Answer, upload: Upload) -> Card:
    classified = answer.classified
    scores: dict[str, float] = classified.scores or {}
    ranked = sorted(scores.items(), key=lambda pair: -pair[1])
    return Card(
        answer=answer,
        picture=await _picture(site, upload) if scores else None,
        plan=plan(classified, answer.policy, answer.choice.is_workers),
        why=because(classified.reason) if classified.reason else None,
        top=ranked[:TOP],
        others=max(0, len(answer.choice.bundle.labels) - TOP) if scores else 0,
    )


async def _picture(site: AppContext, upload: Upload) -> str | None:
    try:
        jpeg = await drawn(site, upload.path.parent, upload.path.name.encode(), LOOK_PIXELS)
    except Problem:
        return None  # the answer is worth more than its picture
    return _shelved(site, jpeg)


def _shelved(site: AppContext, jpeg: bytes) -> str:
    token = secrets.token_urlsafe(16)
    site.shelf.put(token, jpeg)
    return token
