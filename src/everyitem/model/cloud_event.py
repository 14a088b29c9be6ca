"""Events as CloudEvents 1.0 in JSON (contract section 6)."""

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

#: What `source` is where nobody names a service.
LOCAL: Final = "/everyitem/local"

encode_json = msgspec.json.Encoder().encode


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A CloudEvents 1.0 event as it leaves the outbox."""

    specversion: str = "1.0"
    id: str
    source: str = LOCAL
    type: str
    subject: str
    #: RFC 3339.
    time: str | None
    datacontenttype: str = "application/json"
    data_json: msgspec.Raw = msgspec.field(name="data")
    #: Position in the outbox (a CloudEvents extension attribute): hand it back to read on from there.
    sequence: int
    #: The trace of the run (CloudEvents' extension for distributed tracing), where it was traced.
    traceparent: str | UnsetType = UNSET

    @property
    def data(self) -> Any:
        """The decoded data."""
        return msgspec.json.decode(self.data_json)
