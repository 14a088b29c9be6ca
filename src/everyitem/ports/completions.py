"""What events say of deferred items (`ItemProcessingCompleted`), as the engine gets it from the store."""

import msgspec


class ToldFailure(msgspec.Struct, frozen=True, gc=False):
    """Why an item failed, as an event says."""

    #: One of the item error codes of contract section 4.
    code: str
    type: str
    message: str
    #: It may be tried again, like after an exception.
    retryable: bool = False


class Completion(msgspec.Struct, frozen=True, gc=False):
    """What one event says of one attempt of one item."""

    #: The store's number of it.
    position: int
    index: int
    attempt: int
    #: JSON text of the result, where it succeeded.
    result: bytes = b"null"
    failure: ToldFailure | None = None
