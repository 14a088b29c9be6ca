"""What a worker must know of a batch before its first item; crosses the pipe to worker processes."""

from enum import StrEnum

import msgspec


class OriginKind(StrEnum):
    """How another process finds the item processor."""

    FILE = "file"
    MODULE = "module"
    #: Defined in `__main__` or a notebook: only nodes of this process can run it.
    LOCAL = "local"


class ProcessorOrigin(msgspec.Struct, frozen=True):
    """Where an item processor was defined. Set by the operator's code, never by a document."""

    kind: OriginKind
    #: Path of the file or name of the module.
    where: str


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """One batch, as workers see it. JSON texts stay texts until a worker needs them."""

    batch_id: str
    #: What idempotency keys begin with: `batchId`, or `batchId@n` from execution 2 on.
    key_prefix: str
    processor: str
    origin: ProcessorOrigin
    #: JSON object.
    parameters: bytes = b"{}"
    #: Where files with the secrets that parameters refer to are; None: environment variables only.
    secrets_directory: str | None = None
    #: JSON objects shown read-only on the context.
    configuration: bytes = b"{}"
    resources: bytes = b"{}"
    error_policy: bytes = b"{}"
    #: Seconds per attempt (per chunk for chunk processors), None without limit.
    item_timeout: float | None = None
    #: Seconds a worker process may take to import the item processor and to run its `setup`.
    start_timeout: float = 300.0
    #: Whether no attempt may be called twice: a chunk that went wrong does not run singly then.
    at_most_once: bool = False
    #: 1 + maxRetryAttempts.
    max_attempts: int = 4
    #: Whether items may carry ids of their own; False lets the loop skip looking.
    named: bool = False
    #: Epoch seconds at which the batch timeout ends this window, None when unknown.
    deadline: float | None = None
    #: W3C trace context the items belong to; empty without one.
    traceparent: str = ""
    #: `ItemProcessor.code_digest` where the worker must have the same code; empty where it cannot differ.
    code_digest: str = ""
    #: Modules search path of the coordinator, for processors registered by importing a module.
    sys_path: list[str] = []
