"""Reading the envelope: every problem at once, with its JSON path; near-misses as warnings."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from everyitem.faces.documents.problems import Problems
from everyitem.faces.documents.schema import BatchDocument
from everyitem.faces.documents.strict_json import member_path, shorten
from everyitem.settings.unusable import in_our_words

_SIMILARITY = 0.8

#: What a salvaged document has where its own part cannot be used.
_STAND_INS: dict[str, Any] = {
    "batchId": "-",
    "batchItems": [],
    "processingConfiguration": {"processor": "-"},
    "allocatedResources": {},
    "executionPlan": {},
}


def read_envelope(value: Mapping[str, Any], problems: Problems) -> BatchDocument:
    """Check the envelope, whose `batchItems` must be `[]`.

    When parts of it cannot be used, problems are added and the document is salvaged without those parts,
    so that what is wrong elsewhere can be found too.
    """
    try:
        document = BatchDocument.model_validate(value)
    except ValidationError as refused:
        errors = refused.errors(include_url=False)
        for error in errors:
            problems.add(_path(error["loc"]), _message(error))
        unusable = {error["loc"][0] for error in errors}
        sound = {key: member for key, member in value.items() if key not in unusable}
        document = BatchDocument.model_validate(_STAND_INS | _named_processor(value, errors) | sound)
    for path, key, near in _near_misses(value, BatchDocument, "$"):
        problems.warn(member_path(path, key), f"unknown field, kept as it is; did you mean {near!r}?")
    if "\x00" in document.batch_id:
        problems.add("$.batchId", "must not contain the character U+0000")
    return document


def _named_processor(value: Mapping[str, Any], errors: Sequence[Any]) -> dict[str, Any]:
    """A stand-in that keeps the processor's name: whether it is known can be told of any configuration."""
    place = ("processingConfiguration", "processor")
    name = _part(value, place[0]).get(place[1])
    if name is None or any(error["loc"] == place for error in errors):
        return {}
    return {place[0]: {place[1]: name}}


def _path(location: tuple[int | str, ...]) -> str:
    path = "$"
    for step in location:
        path = f"{path}[{step}]" if isinstance(step, int) else member_path(path, step)
    return path


def _message(error: Any) -> str:
    words, may_show = in_our_words(error)
    return f"{words}; found {_describe(error['input'])}" if may_show else words


def _describe(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return shorten(repr(value))
        case int() | float():
            return shorten(str(value)) if abs(value) < 10**300 else "a huge number"
        case list():
            return "an array"
        case dict():
            return "an object"
    return type(value).__name__


def _near_misses(value: object, model: type[BaseModel], path: str) -> Iterator[tuple[str, str, str]]:
    """Unknown keys that look like known ones, in the envelope's objects: (path, key, what was meant)."""
    if not isinstance(value, dict):
        return
    known = {field.alias or name: field for name, field in model.model_fields.items()}
    lower = {name.lower(): name for name in known}
    for key, member in value.items():
        if not isinstance(key, str):
            continue
        if key in known:
            inner = _model_of(known[key].annotation)
            if inner is None:
                continue
            if isinstance(member, list):
                for position, one in enumerate(member):
                    yield from _near_misses(one, inner, f"{member_path(path, key)}[{position}]")
            else:
                yield from _near_misses(member, inner, member_path(path, key))
        elif len(key) <= 80:
            near = difflib.get_close_matches(key.replace("_", "").lower(), lower, n=1, cutoff=_SIMILARITY)
            if near:
                yield path, key, lower[near[0]]


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """The model inside `Model`, `Model | None` or `list[Model] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_of(inner))), None)


def _part(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = value.get(key)
    return part if isinstance(part, dict) else {}
