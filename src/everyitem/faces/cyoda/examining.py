"""Can this machine be a member? Token, connection, role and tenant, tried out for `doctor --cyoda`."""

import asyncio

import grpc
import grpc.aio

from everyitem import compose
from everyitem.faces.api.machine import Check, Verdict
from everyitem.faces.cyoda.channel import (
    REASON_LOST,
    Stream,
    open_channel,
    start_streaming,
    text_of,
    to_event,
)
from everyitem.faces.cyoda.conversation import Conversation, Joined, Part, Say
from everyitem.faces.cyoda.frames import Connect
from everyitem.faces.cyoda.options import CyodaOptions
from everyitem.faces.cyoda.protocol.cloudevents_pb2 import CloudEvent
from everyitem.model.errors import UsageError
from everyitem.ports.bearer import TokenRefused
from everyitem.ports.sink import SinkAway, SinkUnfit

#: Seconds one conversation may take, from joining to leaving.
_PATIENCE = 15.0
#: Seconds the platform has to say why it refuses, after it was once lost.
_HESITATION = 5.0

_ADVICE = {
    grpc.StatusCode.UNAVAILABLE: "start the server, and check host, port, and plaintext or tls",
    grpc.StatusCode.UNAUTHENTICATED: "check token-url and client: the platform does not accept the token",
    grpc.StatusCode.PERMISSION_DENIED: "give the client the role ROLE_M2M",
    grpc.StatusCode.UNIMPLEMENTED: "this is no Cyoda gRPC endpoint; its port is another one than HTTP's",
}


def examine_platform(setup: Connect) -> list[Check]:
    """One check for the token and one for each endpoint; joins for a moment, so requests may be refused."""
    checks: list[Check] = []
    token = None
    if setup.credentials is not None:
        try:
            granted = compose.client_tokens(setup.credentials).request()
        except TokenRefused as refused:
            advice = "check token-url, client-id and the secret's file"
            return [Check(name="cyoda token", verdict=Verdict.FAULT, found=str(refused), advice=advice)]
        token = granted.token
        checks.append(Check(name="cyoda token", verdict=Verdict.OK, found=f"valid for {granted.seconds:g} s"))
    return [*checks, *(asyncio.run(_try_out(setup, endpoint, token)) for endpoint in setup.endpoints)]


def examine_results(options: CyodaOptions) -> list[Check]:
    """A check of where the results of items go; none where they stay in the store."""
    name = f"cyoda results to {options.results.to}"
    try:
        sink = compose.open_sink(options.results, options)
        if sink is None:
            return []
        try:
            odd = sink.check("cyoda-search")
        finally:
            sink.close()
    except (SinkUnfit, UsageError) as unfit:
        return [Check(name=name, verdict=Verdict.FAULT, found=str(unfit), advice="no batch is executed so")]
    except SinkAway as away:
        return [Check(name=name, verdict=Verdict.FAULT, found=str(away), advice="check cyoda.url and client")]
    if odd:
        advice = "declare one before the model is locked, as `everyitem cyoda install` does"
        return [Check(name=name, verdict=Verdict.WARNING, found=odd[0], advice=advice)]
    return [Check(name=name, verdict=Verdict.OK, found=f"they can be delivered to {options.url}")]


async def _try_out(setup: Connect, endpoint: str, token: str | None) -> Check:
    name = f"cyoda {endpoint}"
    try:
        try:
            joined = await _join(setup, endpoint, token)
        except grpc.aio.AioRpcError as error:
            if error.code() is not REASON_LOST:
                raise
            joined = await _join(setup, endpoint, token, hesitate=_HESITATION)
    except grpc.aio.AioRpcError as error:
        return _refused(name, error.code(), error.details() or "")
    except _StreamEnded as ended:
        return _refused(name, ended.code, ended.details)
    except (TimeoutError, ConnectionError) as error:
        found = str(error) or f"no greeting within {_PATIENCE:g} s"
        return Check(name=name, verdict=Verdict.FAULT, found=found, advice="see the platform's log")
    found = f"joined with tag {setup.tag!r} in tenant {joined.tenant!r}"
    return Check(name=name, verdict=Verdict.OK, found=found)


def _refused(name: str, code: grpc.StatusCode, details: str) -> Check:
    found = f"{code.name}: {details}" if details else f"the platform ended the stream: {code.name}"
    advice = _ADVICE.get(code, "see the platform's log")
    return Check(name=name, verdict=Verdict.FAULT, found=found, advice=advice)


class _StreamEnded(Exception):
    """The platform has ended the stream; what it says of that can come as the end of reading, too."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(code.name)
        self.code, self.details = code, details


async def _join(setup: Connect, endpoint: str, token: str | None, *, hesitate: float = 0.0) -> Joined:
    """Join, be greeted, leave. Requests that come meanwhile are refused: nothing is executed here.

    With `hesitate` the platform has that many seconds to refuse before anything is written.
    """
    async with open_channel(endpoint, tls=setup.tls, authorities=setup.authorities) as channel:
        call = start_streaming(channel, token)
        if hesitate:
            await asyncio.wait([asyncio.ensure_future(call.code())], timeout=hesitate)
        try:
            return await asyncio.wait_for(_converse(call, setup.tag), _PATIENCE)
        except asyncio.InvalidStateError:  # a write to a stream that has been ended meanwhile
            raise _StreamEnded(await call.code(), await call.details()) from None


async def _converse(call: Stream, tag: str) -> Joined:
    conversation = Conversation(tag=tag, processors=())
    for action in conversation.begin():
        if isinstance(action, Say):
            await call.write(to_event(action.message))
    while isinstance(event := await call.read(), CloudEvent):
        for action in conversation.hear(event.type, text_of(event), now=0.0):
            match action:
                case Say(message):
                    await call.write(to_event(message))
                case Part(reason):
                    raise ConnectionError(reason)
                case Joined():
                    await call.done_writing()
                    return action
    raise _StreamEnded(await call.code(), await call.details())
