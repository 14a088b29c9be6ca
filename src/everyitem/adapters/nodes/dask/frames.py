"""What a coordinator and its stations on Dask workers say to each other: MessagePack, as bytes.

Dask carries them, and sees nothing but bytes. Every frame is decoded into exactly one of these types.
"""

import sys
from importlib.metadata import version
from typing import Final

import msgspec

from everyitem.model.outcome import OutcomeBlock
from everyitem.work.assignment import Assignment
from everyitem.work.wire import RunSlice

#: The topic under which stations say that they have begun a slice.
TOPIC: Final = "everyitem-begun"
#: The name under which a station answers an `Ask`.
OPERATION: Final = "everyitem_ask"


class Software(msgspec.Struct, array_like=True, frozen=True):
    """What must be the same here and there, because frames and item processors rely on it."""

    everyitem: str
    python: tuple[int, int]

    @classmethod
    def here(cls) -> "Software":
        """What this process runs."""
        return cls(version("everyitem"), (sys.version_info.major, sys.version_info.minor))

    def difference(self, there: "Software") -> str:
        """How a worker (`there`) differs from this coordinator, for people; empty where it does not."""
        if self.everyitem != there.everyitem:
            return f"it has everyitem {there.everyitem} and the coordinator {self.everyitem}"
        if self.python != there.python:
            ours, theirs = (".".join(map(str, one.python)) for one in (self, there))
            return f"it runs Python {theirs} and the coordinator {ours}"
        return ""


class Opening(msgspec.Struct, array_like=True, frozen=True):
    """To a worker: open a station for this run."""

    #: First, and read by itself: the rest may look different in another version.
    software: Software
    run_id: str
    assignment: Assignment
    #: Most worker processes the station may have.
    slots: int
    #: MB each of them may take, None without limit of its own.
    memory_mb: int | None = None
    #: The item processor's source file, where it was loaded by path: workers may not see that path.
    file_name: str = ""
    file: bytes = b""


class Welcome(msgspec.Struct, array_like=True, frozen=True):
    """From a worker: the station is open, unless there is a problem, which says why not."""

    #: Names this station, in this process: another process at the same address has another one.
    station: str = ""
    slots: int = 0
    problem: str = ""


class Task(msgspec.Struct, array_like=True, frozen=True):
    """To a worker, as one Dask task: run this slice."""

    run_id: str
    slice: RunSlice
    #: An encoded `Opening` for a worker that has no station yet; empty where it should have one.
    opening: bytes = b""
    #: At-most-once: the only station that may run it, and once.
    station: str = ""


class Loss(msgspec.Struct, array_like=True, frozen=True):
    """The item process that ran the slice is gone; as `HolderLost` says it."""

    reason: str
    isolate: tuple[int, ...] = ()
    begun: tuple[int, ...] | None = None


class Glimpse(msgspec.Struct, array_like=True, frozen=True):
    """From a station: a slice as it is now."""

    lease_id: int
    #: Blocks of outcomes, the first of them being number `first` of the slice.
    blocks: list[OutcomeBlock]
    first: int = 0
    #: Set once a revocation was carried out: the positions that stay with the slice.
    kept: int | None = None
    #: Index of the item at hand, seconds since it was begun.
    index: int | None = None
    age: float = 0.0


class Report(msgspec.Struct, array_like=True, frozen=True):
    """From a worker, as the result of a Dask task: the slice is over, or was not begun."""

    glimpse: Glimpse | None = None
    loss: Loss | None = None
    #: It was not begun because this worker has no station for the run.
    unopened: bool = False
    #: It was not begun because it had been taken back before it came.
    taken_back: bool = False
    #: At-most-once: it was not begun now, and may have been before, here or elsewhere.
    refused: bool = False
    #: It was not begun because this worker cannot run the batch, and why.
    problem: str = ""
    #: Address of the worker.
    worker: str = ""


class Ask(msgspec.Struct, array_like=True, frozen=True):
    """To a station, beside its tasks: how far is it; and what it shall do."""

    run_id: str
    #: (lease, blocks received of it so far) of the slices to look at.
    leases: list[tuple[int, int]] = []
    #: Slices of which the unstarted rest is wanted back; one not begun yet may never begin.
    revoked: list[int] = []
    #: End items in flight by force.
    interrupt: bool = False
    #: Run `teardown` and close.
    close: bool = False


class Answer(msgspec.Struct, array_like=True, frozen=True):
    """From a station: what was asked for, as far as it knows of it."""

    is_open: bool
    glimpses: list[Glimpse] = []


encode = msgspec.msgpack.Encoder().encode
decode_opening = msgspec.msgpack.Decoder(Opening).decode
decode_welcome = msgspec.msgpack.Decoder(Welcome).decode
decode_task = msgspec.msgpack.Decoder(Task).decode
decode_report = msgspec.msgpack.Decoder(Report).decode
decode_ask = msgspec.msgpack.Decoder(Ask).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode


def software_of(opening: bytes) -> Software:
    """Which software an `Opening` of any version was made with."""
    fields = msgspec.msgpack.decode(opening, type=list[msgspec.Raw])
    return msgspec.msgpack.decode(fields[0], type=Software)
