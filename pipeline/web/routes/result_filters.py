"""The filters of rows that the API takes, those of `pawsort query`."""

from __future__ import annotations

import os
from typing import Annotated

from fastapi import Depends, Query

from db.queries.listing import ResultFilter
from pipeline.web.routes.filters import folder_of
from pipeline.web.routes.parameters import CameraTime, Moment, Share, Text
from pipeline.web.services.context import ContextDep


def result_filter(
    context: ContextDep,
    outcome: Annotated[Text | None, Query(description="A folder, `waiting`, `undone` or `removed`.")] = None,
    prediction: Annotated[Text | None, Query(description="A label of the model, such as cat.")] = None,
    inbox: Annotated[Text | None, Query(description="The inbox that the file arrived in.")] = None,
    name: Annotated[Text | None, Query(description="Part of the file name.")] = None,
    min_confidence: Share | None = None,
    max_confidence: Share | None = None,
    since: Annotated[
        Moment | None, Query(description="Arrived at this time or later; UTC without a time zone.")
    ] = None,
    until: Annotated[Moment | None, Query(description="Arrived before this time.")] = None,
    reviewed: Annotated[
        bool | None, Query(description="Whether a person judged the photo: corrected or confirmed it.")
    ] = None,
    folder: Annotated[Text | None, Query(description="A folder of an inbox or of `sorted`.")] = None,
    taken_since: Annotated[CameraTime | None, Query(description="By the camera's clock.")] = None,
    taken_until: Annotated[CameraTime | None, Query(description="Taken before this time.")] = None,
    worker: Annotated[Text | None, Query(description="The name of the worker that has the file.")] = None,
) -> ResultFilter:
    """Return the filter of a query string."""
    return ResultFilter(
        outcome=outcome,
        prediction=prediction,
        inbox=os.path.normpath(context.settings.base / inbox) if inbox else None,
        name=name,
        min_confidence=min_confidence,
        max_confidence=max_confidence,
        since=since,
        until=until,
        reviewed=reviewed,
        folder=folder_of(context.settings, folder) if folder else None,
        taken_since=taken_since,
        taken_until=taken_until,
        worker=worker,
    )


WantedDep = Annotated[ResultFilter, Depends(result_filter)]
