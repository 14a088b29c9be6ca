"""Item processors of the node contract, loaded by path as a user's FILE.py, so that every kind finds them."""

import asyncio
import ctypes
import http.client
import math
import os
import sys
import threading
import time
from pathlib import Path

from everyitem import PermanentItemError, RetryLater, chunk_processor, item_processor


def pause(seconds):
    """Let time pass where the point is that it does."""
    threading.Event().wait(seconds)


def rendezvous(parameters):
    """Tell the test that the item runs, then wait until the test lets it go on (two named pipes)."""
    with Path(parameters["started"]).open("w"):
        pass
    with Path(parameters["gate"]).open() as gate:
        gate.read()


@item_processor("echo")
def echo(item, context):
    return {"item": item, "index": context.index, "attempt": context.attempt}


@item_processor("echo-async")
async def echo_async(item, context):
    await asyncio.sleep(0)
    return {"item": item, "index": context.index, "attempt": context.attempt}


class Rude(BaseException):
    """Not an `Exception`."""


def misbehave(kind):
    match kind:
        case "value-error":
            raise ValueError("a bad value")
        case "permanent":
            raise PermanentItemError("never again")
        case "later":
            raise RetryLater(2.5)
        case "exit":
            sys.exit(3)
        case "keyboard":
            raise KeyboardInterrupt
        case "base":
            raise Rude("rude")
        case "generator-exit":
            raise GeneratorExit
        case "cancelled":
            raise asyncio.CancelledError
        case "recursion":
            return misbehave(kind)
        case "memory":
            raise MemoryError
        case "unprintable":
            raise Unprintable
        case "forgetful":
            raise ForgetfulLater
        case "odd-path":
            code = {}
            exec(compile("def odd():\n    raise ValueError", b"/nowhere/\xff.py", "exec"), code)
            code["odd"]()
        case "refused":
            raise ConnectionRefusedError("refused")
        case "disconnected":
            raise http.client.RemoteDisconnected("no answer")
        case "silent":
            raise TimeoutError("no answer in time")
        case "wrapped":
            try:
                misbehave("refused")
            except OSError as error:
                raise PriceMissing("no price") from error
        case "chdir":
            os.chdir("/")
        case "noise":
            for _ in range(2_000):
                print("x" * 100)
                os.write(1, b"raw noise\n")
                os.write(2, b"raw noise\n")
        case "huge":
            return "x" * (20 << 20)
    return UNUSABLE[kind]() if kind in UNUSABLE else os.getcwd()


class PriceMissing(Exception):
    """The word of the item processor's author."""


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("cannot be shown")


class ForgetfulLater(RetryLater):
    def __init__(self):
        """Without `super().__init__`, so it has no `seconds`."""


UNUSABLE = {
    "digits": lambda: 10**5000,
    "nan": lambda: {"rate": [1.0, math.nan]},
    "infinity": lambda: math.inf,
    "set": lambda: {"tags": {1, 2}},
    "bytes": lambda: b"raw",
    "tuple": lambda: (1, 2),
    "integer-keys": lambda: {1: "one"},
    "object": object,
    "surrogate": lambda: "\ud800",
}


@item_processor("misbehave")
def misbehave_plain(item, context):
    return misbehave(item)


@item_processor("misbehave-async")
async def misbehave_async(item, context):
    return misbehave(item)


@item_processor("entangled-async")
async def entangled_async(item, context):
    task = asyncio.current_task()
    match item:
        case "cancel now":
            task.cancel()
        case "cancel later":
            asyncio.get_running_loop().call_soon(task.cancel)
        case "stop":
            asyncio.get_running_loop().stop()
            await asyncio.sleep(0)
        case "exit" | "keyboard":

            async def part():
                misbehave(item)

            await asyncio.create_task(part())
        case _:
            await asyncio.sleep(0)
    return item


@item_processor("hang")
def hang(item, context):
    if item == "hang":
        threading.Event().wait()
    return item


@item_processor("hang-async")
async def hang_async(item, context):
    while item == "hang":
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if context.cancelled:
                raise
    return item


@item_processor("block-async")
async def block_async(item, context):
    if item == "block":
        threading.Event().wait()
    return item


@item_processor("die")
def die(item, context):
    if item == "exit":
        os._exit(7)
    if item == "segfault":
        ctypes.string_at(0)
    return item


def fork(how):
    """What a child ends with that comes back out of the item processor, in the given way."""
    if not (child := os.fork()):
        if how == "raise":
            raise ValueError("the child's")
        return "the child's"
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


@item_processor("fork")
def forking(item, context):
    return fork(item)


@item_processor("fork-async")
async def forking_async(item, context):
    await asyncio.sleep(0)
    return fork(item)


@chunk_processor("fork-chunk", size=1)
def forking_chunk(items, context):
    return [fork(item) for item in items]


@item_processor("gated")
def gated(item, context):
    if item == "wait":
        rendezvous(context.parameters)
    return item


@item_processor("gated-async")
async def gated_async(item, context):
    if item == "wait":
        await asyncio.to_thread(rendezvous, context.parameters)
    return item


@item_processor("alive")
def alive(item, context):
    until = time.monotonic() + context.parameters["seconds"]
    while time.monotonic() < until:
        pause(0.05)
        context.heartbeat()
    return item


@item_processor("alive-async")
async def alive_async(item, context):
    until = time.monotonic() + context.parameters["seconds"]
    while time.monotonic() < until:
        await asyncio.sleep(0.05)
        context.heartbeat()
    return item


@item_processor("talk")
def talk(item, context):
    context.logger.warning("item %s speaks", item)
    return context.index


@item_processor("number", decimals=True)
def number(item, context):
    return f"{type(item).__name__} {item}"


@item_processor("context")
def show_context(item, context):
    item["itemId"] = "changed by the item"
    try:
        context.parameters["colour"] = "red"
    except TypeError as error:
        refusal = str(error)
    return {
        "batch": context.batch_id,
        "id": context.item_id,
        "index": context.index,
        "key": context.idempotency_key,
        "colour": context.parameters["colour"],
        "refusal": refusal,
        "deadline": context.deadline.isoformat() if context.deadline else None,
        "cancelled": context.cancelled,
    }


@chunk_processor("chunk", size=4)
def chunk(items, context):
    if len(items) > 1 and "spoil" in items:
        raise ValueError("the whole chunk")
    if len(items) > 1 and "short" in items:
        return []
    if len(items) > 1 and "hang" in items:
        threading.Event().wait()
    ids = [one.item_id for one in context.items]
    return [
        ValueError("bad") if item in {"bad", "spoil"} else 10**5000 if item == "digits" else [item, own]
        for item, own in zip(items, ids, strict=True)
    ]


@chunk_processor("chunk-async", size=4)
async def chunk_async(items, context):
    return chunk(items, context)


def note(text):
    with Path(os.environ["EVERYITEM_TEST_NOTES"]).open("a") as file:
        file.write(text + "\n")


@item_processor("hooked", setup=lambda: note("setup"), teardown=lambda: note("teardown"))
def hooked(item, context):
    return item


async def note_setup():
    await asyncio.sleep(0)
    note("setup")


async def note_teardown():
    await asyncio.sleep(0)
    note("teardown")


@item_processor("hooked-async", setup=note_setup, teardown=note_teardown)
async def hooked_async(item, context):
    return item


LOOPS = []


async def open_pool():
    LOOPS.append(asyncio.get_running_loop())


async def close_pool():
    note("same loop" if asyncio.get_running_loop() is LOOPS[-1] else "another loop")


@item_processor("pooled-async", setup=open_pool, teardown=close_pool)
async def pooled_async(item, context):
    return asyncio.get_running_loop() is LOOPS[-1]


def broken_setup():
    raise ConnectionError("no route to the rates service")


@item_processor("unready", setup=broken_setup)
def unready(item, context):
    return item
