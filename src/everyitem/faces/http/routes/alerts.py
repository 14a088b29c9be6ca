"""Alerts: what is wrong, and who looks after it."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from everyitem.faces.http.problems import Refused
from everyitem.faces.http.serving import CallerNow, ServingNow
from everyitem.faces.http.shapes import Alerts, json_of, refuses, returns
from everyitem.model.errors import UsageError

router = APIRouter(prefix="/v1/alerts", tags=["alerts"])


@router.get("", responses={200: returns(Alerts, "The latest ones, newest first.")})
def alerts(
    serving: ServingNow,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most this many.")] = 100,
    standing: Annotated[bool, Query(description="Only those that stand.")] = False,
) -> Response:
    """List the latest alerts of all batches of the store."""
    with serving.service.session() as session:
        found = session.alerts(limit=limit)
    return json_of(Alerts(alerts=tuple(one for one in found if not standing or one.state != "resolved")))


@router.post(
    "/{alert_id}/acknowledge",
    status_code=HTTPStatus.NO_CONTENT,
    response_class=Response,
    responses=refuses(HTTPStatus.NOT_FOUND),
)
def acknowledge(
    serving: ServingNow, caller: CallerNow, alert_id: Annotated[str, Path(pattern="^[0-9a-f]{1,64}$")]
) -> Response:
    """Say that somebody looks after an alert: nobody is told of it again."""
    with serving.service.session() as session:
        try:
            session.acknowledge(alert_id, actor=caller.name)
        except UsageError as error:
            raise Refused(HTTPStatus.NOT_FOUND, str(error)) from error
    return Response(status_code=HTTPStatus.NO_CONTENT)
