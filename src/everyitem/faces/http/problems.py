"""Errors as `application/problem+json` (RFC 9457): what is wrong, all of it, and what to do."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

from everyitem.faces.service.errors import ProcessorsUnusable, QueueFull, ServiceStopping
from everyitem.model.errors import (
    ContentDiffers,
    DocumentRefused,
    ErrorCode,
    EveryitemError,
    Problem,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreTooNew,
    UnknownBatch,
    UnknownItem,
    UnknownProcessor,
    UsageError,
    WrongState,
)
from everyitem.model.response import MOST_TEXTS
from everyitem.model.wording import many
from everyitem.settings.unusable import in_our_words

MEDIA_TYPE = "application/problem+json"
_SOON = {"Retry-After": "5"}


class ProblemEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One of the things that are wrong."""

    #: JSON path of the culprit, empty where there is none.
    path: str
    message: str
    #: The specification's code.
    code: str


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Why a request was not carried out."""

    type: str
    title: str
    status: int
    detail: str
    #: The request's id, as in the server's log and in the header `X-Request-Id`.
    request_id: str
    #: The specification's code, where there is one.
    error_code: str | None = None
    #: Everything that is wrong with what was sent, up to 1,000 entries.
    errors: list[ProblemEntry] = []
    #: How many more there are.
    more: int = 0


class Refused(Exception):
    """A request that is not carried out, with everything its answer says."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        problems: Sequence[Problem] = (),
        code: ErrorCode | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.code = status, detail, code
        self.problems = tuple(problems)
        self.headers = dict(headers or {})


def refused(error: EveryitemError) -> Refused:
    """The answer to what went wrong below us."""
    match error:
        case DocumentRefused():
            count = len(error.problems)
            detail = f"the document was refused: {many(count, 'problem')}"
            return Refused(
                HTTPStatus.UNPROCESSABLE_ENTITY, detail, problems=error.problems, code=error.refusal_code
            )
        case UnknownProcessor():
            problem = Problem("$.processingConfiguration.processor", str(error), error.code)
            return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error), problems=[problem], code=error.code)
        case ContentDiffers():
            problem = Problem("$.batchId", str(error), error.code)
            return Refused(HTTPStatus.CONFLICT, str(error), problems=[problem], code=error.code)
        case UnknownBatch():
            # not the error's own words, which tell where the store is
            return Refused(
                HTTPStatus.NOT_FOUND, "there is no such batch, or no such execution of it", code=error.code
            )
        case UnknownItem():
            return Refused(HTTPStatus.NOT_FOUND, str(error), code=error.code)
        case WrongState():
            return Refused(HTTPStatus.CONFLICT, str(error), code=error.code)
        case QueueFull():
            return Refused(
                HTTPStatus.TOO_MANY_REQUESTS, str(error), code=error.code, headers={"Retry-After": "30"}
            )
        case StoreFull():
            return Refused(HTTPStatus.INSUFFICIENT_STORAGE, str(error), code=error.code)
        case StoreDamaged() | StoreTooNew():
            return Refused(HTTPStatus.INTERNAL_SERVER_ERROR, str(error), code=error.code)
        case StoreError() | ServiceStopping():
            return Refused(HTTPStatus.SERVICE_UNAVAILABLE, str(error), code=error.code, headers=_SOON)
        case ProcessorsUnusable():
            return Refused(HTTPStatus.SERVICE_UNAVAILABLE, str(error), code=error.code, headers=_SOON)
        case UsageError():
            return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error), code=error.code)
        case _:
            return Refused(HTTPStatus.INTERNAL_SERVER_ERROR, str(error), code=error.code)


def problem_response(error: Refused, request_id: str) -> Response:
    """The response a refusal becomes."""
    listed = error.problems[:MOST_TEXTS]
    document = ProblemDocument(
        type="about:blank",
        title=error.status.phrase,
        status=error.status,
        detail=error.detail,
        request_id=request_id,
        error_code=error.code,
        errors=[ProblemEntry(path=one.path, message=one.message, code=one.code) for one in listed],
        more=len(error.problems) - len(listed),
    )
    return Response(_encode(document), status_code=error.status, headers=error.headers, media_type=MEDIA_TYPE)


def unwell_formed(errors: Sequence[Mapping[str, Any]]) -> Refused:
    """The answer to parameters or a body the API's description does not allow."""
    problems = [Problem(_place_of(error["loc"]), in_our_words(error)[0]) for error in errors]
    return Refused(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "; ".join(map(str, problems[:3])),
        problems=problems,
        code=ErrorCode.EXECUTION_ERROR,
    )


def _encode(document: ProblemDocument) -> bytes:
    # a header or path may hold what is no text; it must not keep the rest from being said
    try:
        return msgspec.json.encode(document)
    except UnicodeEncodeError:
        said = msgspec.to_builtins(document)
        said["detail"] = said["detail"].encode("utf-8", "backslashreplace").decode()
        for entry in said["errors"]:
            for name, text in entry.items():
                entry[name] = text.encode("utf-8", "backslashreplace").decode()
        return msgspec.json.encode(said)


def _place_of(location: Sequence[str | int]) -> str:
    """`("body", "items", 3)` is `$.items[3]`; a parameter is named as it is."""
    where, *steps = location
    if where != "body":
        return ".".join(map(str, steps)) or str(where)
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
