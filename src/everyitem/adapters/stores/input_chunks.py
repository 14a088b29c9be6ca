"""Input chunks: the items as accepted, packed, each chunk with a digest of its own."""

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import msgspec

from everyitem.adapters.stores import frames
from everyitem.model.errors import StoreDamaged
from everyitem.model.items import ItemChunk, Items
from everyitem.model.outcome import join_texts

#: Chunks packed ahead of the one being written; bounds the memory a large source needs.
_AHEAD = 64

_encode = msgspec.msgpack.Encoder().encode
_raw_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class StoredChunk(msgspec.Struct, frozen=True, gc=False):
    """One input chunk as it stands in a store; the fields are the columns, in their order."""

    chunk: int
    first: int
    count: int
    #: Length of the unpacked text in bytes.
    length: int
    digest: bytes
    body: bytes


def seal_chunks(items: Items, chain: bytes) -> Iterator[StoredChunk]:
    """All chunks in order, packed and hashed by two threads beside the caller (both leave the GIL)."""
    with ThreadPoolExecutor(2, thread_name_prefix="everyitem-pack") as threads:
        ahead: deque[Future[StoredChunk]] = deque()
        for number, chunk in enumerate(items.chunks()):
            ahead.append(threads.submit(_seal, number, chunk, chain))
            if len(ahead) > _AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _seal(number: int, chunk: ItemChunk, chain: bytes) -> StoredChunk:
    body = frames.pack(frames.FrameKind.INPUT_CHUNK, chunk.text)
    return StoredChunk(
        chunk=number,
        first=chunk.first,
        count=chunk.count,
        length=len(chunk.text),
        digest=_digest_of(number, chunk.first, chunk.count, chain, body),
        body=body,
    )


def _digest_of(number: int, first: int, count: int, chain: bytes, body: bytes) -> bytes:
    digest = hashlib.sha256(_encode((chain, number, first, count)))
    digest.update(body)
    return digest.digest()


def _is_sound(stored: StoredChunk, chain: bytes) -> bool:
    try:
        digest = _digest_of(stored.chunk, stored.first, stored.count, chain, stored.body)
    except TypeError:
        # a damaged record head can give a column another type altogether
        return False
    return digest == stored.digest


def open_chunk(stored: StoredChunk, chain: bytes) -> ItemChunk:
    """The chunk as accepted. Raises `StoreDamaged` naming it and its items when it is not that any more."""
    if not _is_sound(stored, chain):
        raise StoreDamaged(
            f"input chunk {stored.chunk} (items {stored.first} to {stored.first + stored.count - 1}) "
            "does not match its digest; restore the store from a copy, or run its document again"
        )
    return ItemChunk(stored.first, stored.count, frames.unpack(frames.FrameKind.INPUT_CHUNK, stored.body))


def corrected(chunk: ItemChunk, corrections: Mapping[int, bytes]) -> ItemChunk:
    """The chunk with the corrected items in place of the accepted ones."""
    concerned = corrections.keys() & range(chunk.first, chunk.first + chunk.count)
    if not concerned:
        return chunk
    texts: list[Any] = list(_raw_list(chunk.text))
    for index in concerned:
        texts[index - chunk.first] = corrections[index]
    return ItemChunk(chunk.first, chunk.count, join_texts(texts))


def correction_digest(chain: bytes, round_: int, index: int, text: bytes) -> bytes:
    """SHA-256 that stands beside a corrected item."""
    return hashlib.sha256(_encode((chain, round_, index, text))).digest()
