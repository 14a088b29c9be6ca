"""Reading a batch document, whatever it comes as, into a `ProcessingBatch`.

    bytes ── split ── envelope ── pydantic ── settle ──┐
                 └─── items ───── intake ──────────────┴── ProcessingBatch

All problems of envelope, items and resources are gathered before the document is refused.
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from everyitem.faces.documents.content import content_digest
from everyitem.faces.documents.document_text import READING_ERRORS, diagnose, foreign_encoding, split_text
from everyitem.faces.documents.envelope import read_envelope
from everyitem.faces.documents.items_intake import ItemsIntake
from everyitem.faces.documents.misreadings import misreading
from everyitem.faces.documents.overrides import Overrides
from everyitem.faces.documents.overrides import to_json as settings_to_json
from everyitem.faces.documents.problems import Problems
from everyitem.faces.documents.schema import BatchDocument
from everyitem.faces.documents.settling import settle
from everyitem.faces.documents.strict_json import find_faults, parse_leniently
from everyitem.faces.documents.writer import document_of
from everyitem.model.batch import ProcessingBatch
from everyitem.model.errors import ErrorCode, UnknownProcessor, UsageError
from everyitem.model.items import Items
from everyitem.ports.source import (
    SourceAway,
    SourceMisdescribed,
    SourceOpener,
    SourceSpec,
    SourceUnavailable,
)
from everyitem.settings import Setting, Settings
from everyitem.work.secrets import UnknownSecret, find_secret, references
from everyitem.work.texts import is_storable

#: Bytes read from a document at a time.
_READ_BYTES = 16 << 20

#: What a face may be given as a batch. A `str` or path names a file, "-" is standard input.
BatchInput = str | os.PathLike[str] | bytes | Mapping[str, Any] | ProcessingBatch


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """An accepted document and where each of its settings came from."""

    batch: ProcessingBatch
    #: Settings in force by their document name (`checkpointInterval`, `retry.jitter`, ...).
    origins: Mapping[str, Setting]
    #: Where the items were read from (JSON text like `itemSource`), None for inline items.
    source: bytes | None = None

    @property
    def settings_json(self) -> bytes:
        """The settings in force as JSON text, to be stored with the execution."""
        return settings_to_json(self.origins)

    def known_as(self, identity: str) -> "ReadDocument":
        """The same document, stored and steered under another name than its `batchId`."""
        return replace(self, batch=replace(self.batch, known_as=identity))


def read_document(
    given: BatchInput,
    *,
    settings: Settings,
    overrides: Overrides | None = None,
    is_async: Callable[[str], bool] = lambda _: False,
    open_source: SourceOpener | None = None,
) -> ReadDocument:
    """Read, check and complete a batch document.

    `is_async` tells whether the item processor of that name is a coroutine (then items run on an `async`
    node where the document allocates none); where it raises `UnknownProcessor`, that is one more problem of
    the document, everything else passes through. `open_source` opens item sources. Raises `UsageError` when
    a file named by the caller is not there, `DocumentRefused` with all problems of the document.
    """
    reading = _Reading(settings, overrides or Overrides(), is_async, open_source)
    if isinstance(given, ProcessingBatch):
        return reading.of_batch(given)
    if isinstance(given, Mapping):
        return reading.of_value(dict(given))
    if isinstance(given, bytes | bytearray):
        return reading.of_bytes(bytes(given))
    if isinstance(given, str | os.PathLike):
        path = os.fspath(given)
        return reading.of_bytes(
            _read_file(path, settings), base="" if path == "-" else str(Path(path).parent)
        )
    raise UsageError(f"a batch is a path, a dict, bytes or a ProcessingBatch, not {type(given).__name__}")


def restore_document(
    envelope: bytes,
    items: Items,
    *,
    settings: Settings,
    overrides: Overrides | None = None,
    recorded_settings: bytes = b"{}",
    is_async: Callable[[str], bool] = lambda _: False,
) -> ReadDocument:
    """Rebuild the batch of a stored execution, for resume, redrive and rerun.

    What the starting call said on its command line (in `recorded_settings`) still holds; `overrides` of
    this call win over it. Raises `DocumentRefused` when an operator's setting no longer allows the batch, or
    nobody registered its item processor.
    """
    said = (overrides or Overrides()).over(Overrides.recorded_in(recorded_settings))
    return _Reading(settings, said, is_async, None).of_stored(envelope, items)


def _read_file(path: str, settings: Settings) -> bytes:
    """The document's bytes, or a little more than the ceiling allows: the rest need not be read."""
    try:
        if path == "-":
            return _read_bounded(sys.stdin.buffer, settings.max_document_bytes)
        with Path(path).open("rb") as file:
            return _read_bounded(file, settings.max_document_bytes)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _read_bounded(file: BinaryIO, most: int) -> bytes:
    parts: list[bytes] = []
    room = most + 1
    while room > 0 and (part := file.read(min(room, _READ_BYTES))):
        parts.append(part)
        room -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class _Reading:
    """One document on its way from text to batch."""

    def __init__(
        self,
        settings: Settings,
        overrides: Overrides,
        is_async: Callable[[str], bool],
        open_source: SourceOpener | None,
    ) -> None:
        self._settings = settings
        self._overrides = overrides
        self._is_async = is_async
        self._open_source = open_source
        self._problems = Problems()
        self._base = ""
        #: The source the items were read from, as JSON text, and its kind.
        self._source: bytes | None = None
        self._kind = ""

    def of_bytes(self, data: bytes, *, base: str = "") -> ReadDocument:
        """A document's text; `base` is the folder its sources are meant from."""
        self._base = base
        problems, settings = self._problems, self._settings
        if len(data) > settings.max_document_bytes:
            problems.add(
                "$", f"longer than {settings.max_document_bytes:,} bytes, the limit (maxDocumentBytes)"
            )
        elif fault := foreign_encoding(data):
            problems.add("$", fault)
        problems.raise_if_any()
        parts = split_text(data, settings, problems)
        problems.raise_if_any()
        value = _parse(parts.envelope) if parts else None
        if parts is None or value is None:
            value = diagnose(data, settings, problems)
            problems.raise_if_any()
            return self.of_value(value)
        envelope = self._check_envelope(value)
        intake = self._intake(envelope)
        items = parts.items
        elsewhere = self._read_source(envelope, intake, inline=items is not None and len(items) > 2)
        if items is not None and not elsewhere:
            intake.read_text(items)
        return self._finish(envelope, parts.envelope, intake.finish(), item_count=intake.count)

    def of_value(self, value: Any) -> ReadDocument:
        """A document as Python values; also one whose text was JSON only at heart. Empties its items."""
        if not isinstance(value, dict):
            self._problems.add("$", "a batch document is one JSON object")
            self._problems.raise_if_any()
        items = value.get("batchItems")
        if "batchItems" in value:
            value["batchItems"] = []
        envelope = self._check_envelope(value)
        intake = self._intake(envelope)
        elsewhere = self._read_source(envelope, intake, inline=bool(items))
        if "batchItems" in value and not elsewhere:
            intake.read_values(items)
        return self._finish(envelope, self._encode(value), intake.finish(), item_count=intake.count)

    def of_batch(self, batch: ProcessingBatch) -> ReadDocument:
        """A batch that was read before, or made by hand: then its values are written down first."""
        if batch.envelope != b"{}":
            return self.of_stored(batch.envelope, batch.items)
        value = document_of(batch)
        envelope = self._check_envelope(value)
        return self._finish(envelope, self._encode(value), batch.items, item_count=len(batch.items))

    def of_stored(self, envelope: bytes, items: Items) -> ReadDocument:
        """An envelope whose items were accepted before."""
        if len(items) > max(self._settings.max_batch_size, self._settings.max_source_items or 0):
            self._problems.add(
                "$.batchItems",
                f"{len(items):,} items; the limit is {self._settings.max_batch_size:,} (maxBatchSize)",
            )
        document = self._check_envelope(parse_leniently(envelope.decode("utf-8")))
        return self._finish(document, envelope, items, item_count=len(items))

    def _encode(self, value: dict[str, Any]) -> bytes:
        """The text of a checked envelope; what is refused need not have one."""
        return b"{}" if len(self._problems) else msgspec.json.encode(value)

    def _check_envelope(self, value: dict[str, Any]) -> BatchDocument:
        if self._overrides.items is not None:
            value.setdefault("batchItems", [])
        faults = find_faults(value, "$", max_depth=self._settings.max_depth, repeated_keys=True)
        for count, (path, message) in enumerate(faults):
            if count == _MOST_FAULTS:
                break
            self._problems.add(path, message)
        return read_envelope(value, self._problems)

    def _intake(self, envelope: BatchDocument) -> ItemsIntake:
        own = envelope.processing_configuration.max_batch_size
        return ItemsIntake(self._settings, self._problems, max_batch_size=own)

    def _read_source(self, envelope: BatchDocument, intake: ItemsIntake, *, inline: bool) -> bool:
        """Read the items from a source if one is asked for; False when they are inline."""
        spec = self._override_spec() or self._document_spec(envelope, inline=inline)
        if spec is None:
            return False
        if self._overrides.items is not None and inline:
            self._problems.warn("$.batchItems", f"the items of {spec.reference} take their place")
        if self._open_source is None:
            intake.refuse("$.itemSource", "item sources cannot be read here; give the items inline")
            return True
        self._kind = spec.kind
        self._source = msgspec.json.encode({"kind": spec.kind, "reference": spec.reference} | spec.options)
        try:
            intake.read_source(self._open_source(spec))
        except SourceUnavailable as unavailable:
            if self._overrides.items is not None:
                raise UsageError(str(unavailable)) from None
            if isinstance(unavailable, SourceMisdescribed):
                intake.refuse(f"$.itemSource.{unavailable.member}", unavailable.message)
            else:
                intake.refuse(
                    "$.itemSource.reference",
                    str(unavailable),
                    ErrorCode.RESOURCE_ERROR,
                    may_pass=isinstance(unavailable, SourceAway),
                )
        return True

    def _override_spec(self) -> SourceSpec | None:
        path = self._overrides.items
        if path is None:
            return None
        if not is_storable(path):
            raise UsageError(f"items cannot be read from {path!r}: the path is not UTF-8; rename it")
        kind = Path(path).suffix.lower().lstrip(".")
        return SourceSpec(
            kind=kind if kind in ("csv", "parquet") else "jsonl", reference=path, setup=self._settings.sources
        )

    def _document_spec(self, envelope: BatchDocument, *, inline: bool) -> SourceSpec | None:
        wish = envelope.item_source
        if wish is None or wish.kind in (None, "inline"):
            return None
        if inline:
            self._problems.add("$.batchItems", "must be empty where itemSource says where the items are")
            return None
        options = dict(wish.model_extra or {})
        if wish.reference is None and not (wish.kind == "cyoda-entities" and "ids" in options):
            self._problems.add("$.itemSource.reference", "is required")
            return None
        return SourceSpec(
            kind=wish.kind,
            reference=wish.reference or "",
            base=self._base,
            options=options,
            setup=self._settings.sources,
        )

    def _finish(
        self, envelope: BatchDocument, text: bytes, items: Items, *, item_count: int | None
    ) -> ReadDocument:
        """Settle what is left open and hand over the batch, or refuse the document."""
        problems = self._problems
        self._check_secrets(envelope.processing_configuration.parameters or {})
        settled = settle(
            envelope,
            settings=self._settings,
            overrides=self._overrides,
            is_async=self._is_async_if_known,
            item_count=item_count,
            problems=problems,
        )
        problems.raise_if_any()
        if (odd := misreading(self._kind, items)) is not None:
            problems.warn("$.itemSource", odd)
        batch = ProcessingBatch(
            batch_id=envelope.batch_id,
            items=items,
            configuration=settled.configuration,
            resources=settled.resources,
            plan=settled.plan,
            priority=settled.priority,
            envelope=text,
            content=content_digest(items.digest, settled.configuration),
            warnings=tuple(problems.warnings),
        )
        return ReadDocument(batch, settled.origins, self._source)

    def _check_secrets(self, parameters: dict[str, Any]) -> None:
        """Every secret referred to must be at hand: a batch should not begin that cannot end."""
        for path, name in references(parameters, "$.processingConfiguration.parameters"):
            try:
                find_secret(name, self._settings.secrets_directory)
            except UnknownSecret as unknown:
                self._problems.add(path, str(unknown))

    def _is_async_if_known(self, processor: str) -> bool:
        """Whether the item processor is a coroutine; one nobody registered is a problem like any other."""
        if any(path in self._problems for path in _PLACES_OF_PROCESSOR):
            # a stand-in, or a name that is no text: what is wrong with it has been said
            return False
        try:
            return self._is_async(processor)
        except UnknownProcessor as unknown:
            self._problems.add(_PLACES_OF_PROCESSOR[-1], str(unknown))
            return False


#: Where it is said that a document names no processor.
_PLACES_OF_PROCESSOR = ("$.processingConfiguration", "$.processingConfiguration.processor")

#: Problems of the envelope's JSON named before the rest is left alone.
_MOST_FAULTS = 1000


def _parse(envelope: bytes) -> dict[str, Any] | None:
    """The envelope leniently parsed; None when its text is not sound enough for that."""
    try:
        value = parse_leniently(envelope.decode("utf-8"))
    except READING_ERRORS:
        return None
    return value if isinstance(value, dict) else None
