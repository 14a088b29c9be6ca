"""The comparator of `platform`: a compute member written by hand, with a loop over the items.

It does what a careful hand writes: a stream that is opened again, probes that are answered while the loop
runs on a thread, and the whole entity back with its results. It keeps nothing: what was under way when a
stream breaks is done again from the start. `python -m benchmarks.plain_member HOST:PORT`.
"""

import asyncio
import json
import sys
import uuid
from typing import Any

import grpc.aio

from benchmarks.processors import no_op, witnessed
from everyitem.faces.cyoda.channel import Stream, open_channel, start_streaming, text_of, to_event
from everyitem.faces.cyoda.messages import Message, acknowledge, join
from everyitem.faces.cyoda.protocol.cloudevents_pb2 import CloudEvent

#: Seconds before a lost stream is opened again.
_AGAIN = 0.1

_PROCESSORS = {"bench-no-op": no_op, "bench-witnessed": witnessed}


class _Context:
    """What an item processor sees of the batch."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        self.parameters = parameters


def process(entity: dict[str, Any]) -> dict[str, Any]:
    """The processor function: a plain loop over the items."""
    configuration = entity["processingConfiguration"]
    function = _PROCESSORS[configuration["processor"]]
    context = _Context(configuration.get("parameters", {}))
    results = [function(item, context) for item in entity["batchItems"]]
    counts = {"itemsProcessed": len(results), "itemsSuccessful": len(results), "itemsFailed": 0}
    return entity | {"executionStatus": "COMPLETED", "executionResults": counts}


async def be_member(endpoint: str) -> None:
    """Join, answer, and join again, for ever."""
    while True:
        try:
            async with open_channel(endpoint, tls=False, authorities=None) as channel:
                await _converse(start_streaming(channel, None))
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass
        await asyncio.sleep(_AGAIN)


async def _converse(call: Stream) -> None:
    await call.write(to_event(join("batch-execution")))
    tasks = set()
    while isinstance(event := await call.read(), CloudEvent):
        if event.type == "CalculationMemberKeepAliveEvent":
            await call.write(to_event(acknowledge(text_of(event))))
        elif event.type == "EntityProcessorCalculationRequest":
            task = asyncio.create_task(_answer(call, json.loads(text_of(event))))
            tasks.add(task)
            task.add_done_callback(tasks.discard)


async def _answer(call: Stream, asked: dict[str, Any]) -> None:
    entity = await asyncio.to_thread(process, asked["payload"]["data"])
    content = {
        "id": str(uuid.uuid4()),
        "requestId": asked["requestId"],
        "entityId": asked["entityId"],
        "success": True,
        "payload": {"type": "JSON", "data": entity},
    }
    text = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    await call.write(to_event(Message("EntityProcessorCalculationResponse", text)))


if __name__ == "__main__":
    asyncio.run(be_member(sys.argv[1]))
