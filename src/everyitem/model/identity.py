"""The identity of a batch that is an entity of a platform: two entities may carry one `batchId`.

Everywhere else an identity is an opaque text.
"""

_MARK = "#"


def entity_identity(batch_id: str, *, tenant: str, entity_id: str) -> str:
    """What the batch of one entity is stored and steered under, and its idempotency keys begin with."""
    return f"{batch_id}{_MARK}{tenant}/{entity_id}"


def names(batch_id: str, identity: str) -> bool:
    """Whether `batch_id` is the short name of an entity's identity."""
    return identity.startswith(batch_id + _MARK)


def entity_of(identity: str) -> str:
    """The entity an identity is of; empty for a batch that is none."""
    _, mark, rest = identity.rpartition(_MARK)
    return rest.rpartition("/")[2] if mark and "/" in rest else ""
