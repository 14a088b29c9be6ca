"""One gRPC connection to the platform, and CloudEvents in and out of it."""

import uuid
from typing import Final, TypeAlias

import grpc
import grpc.aio

from everyitem.faces.cyoda.messages import Message
from everyitem.faces.cyoda.protocol.cloudevents_pb2 import CloudEvent

_SERVICE: Final = "/org.cyoda.cloud.api.grpc.CloudEventsService"
STREAM: Final = f"{_SERVICE}/startStreaming"
SEARCH: Final = f"{_SERVICE}/entitySearch"

#: What a stream has ended with when gRPC could not write to it any more, whatever the platform said before.
REASON_LOST: Final = grpc.StatusCode.INTERNAL

#: Events both ways.
Stream: TypeAlias = "grpc.aio.StreamStreamCall[CloudEvent, CloudEvent]"

_OPTIONS: Final = [
    # requests may be as long as the platform likes; answers are measured before they are sent
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # every attempt is a connection of its own: gRPC's shared back-off would come on top of ours
    ("grpc.use_local_subchannel_pool", 1),
    # a proxy of the environment is for the web; this connection is named by the operator
    ("grpc.enable_http_proxy", 0),
]


def open_channel(endpoint: str, *, tls: bool, authorities: bytes | None) -> grpc.aio.Channel:
    """A channel that connects when it is first used."""
    if tls:
        credentials = grpc.ssl_channel_credentials(root_certificates=authorities)
        return grpc.aio.secure_channel(endpoint, credentials, options=_OPTIONS)
    return grpc.aio.insecure_channel(endpoint, options=_OPTIONS)


def start_streaming(channel: grpc.aio.Channel, token: str | None) -> Stream:
    """The member's stream. The token goes with the call: gRPC keeps its own credentials off plaintext."""
    method: grpc.aio.StreamStreamMultiCallable[CloudEvent, CloudEvent] = channel.stream_stream(
        STREAM,
        request_serializer=CloudEvent.SerializeToString,
        response_deserializer=CloudEvent.FromString,
    )
    return method(metadata=_metadata(token))


async def search(channel: grpc.aio.Channel, token: str | None, message: Message, *, patience: float) -> bytes:
    """Ask `entitySearch`; the JSON text of its answer."""
    method = channel.unary_unary(
        SEARCH,
        request_serializer=CloudEvent.SerializeToString,
        response_deserializer=CloudEvent.FromString,
    )
    return text_of(await method(to_event(message), metadata=_metadata(token), timeout=patience))


def to_event(message: Message) -> CloudEvent:
    """The envelope around a message."""
    return CloudEvent(
        id=str(uuid.uuid4()),
        source="everyitem",
        spec_version="1.0",
        type=message.type,
        text_data=message.text.decode("utf-8"),
    )


def text_of(event: CloudEvent) -> bytes:
    """The JSON text of an event, whichever way it was packed."""
    return event.text_data.encode("utf-8") if event.HasField("text_data") else event.binary_data


def _metadata(token: str | None) -> tuple[tuple[str, str], ...]:
    return () if token is None else (("authorization", f"Bearer {token}"),)
