"""Connections to NATS, which say why there is none."""

import asyncio

import nats
from nats.aio.client import Client


async def nats_client(url: str, *, timeout: float) -> Client:
    """A client connected within `timeout` seconds. It does not connect again: whoever uses it says when.

    Raises what the client does, and `ConnectionError` with what stood in the way where it would go on trying.
    """
    latest = ""

    async def tell(error: Exception) -> None:
        # what goes wrong is raised where it does; the client would write it to the log as well
        nonlocal latest
        latest = str(error) or type(error).__name__

    try:
        async with asyncio.timeout(timeout):
            return await nats.connect(url, allow_reconnect=False, error_cb=tell)
    except TimeoutError as error:
        raise ConnectionError(latest or "it does not answer in time") from error
