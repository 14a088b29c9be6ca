"""Settling items in doubt from any process: a request to the living owner, or the record itself."""

import time

import msgspec

from everyitem import compose
from everyitem.faces.api.explanation import find_index
from everyitem.model.errors import UnknownItem, UsageError, WrongState
from everyitem.ports.control import ControlKind
from everyitem.ports.doubt import Decision, Settlement
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.store import Store

#: How long an owner has to carry a settlement out, and how often to look. It reads its inbox five times a
#: second, and commits at once.
_REACTION = 10.0
_LOOK_EVERY = 0.1


def read_decision(
    *, succeeded: bool, failed: bool, again: bool, result: object, reason: str
) -> tuple[Decision, bytes]:
    """The one decision that was made, and the result as JSON text.

    Raises:
        UsageError: none or several were made, or the result is not JSON or belongs to no success.
    """
    made = [
        decision
        for decision, is_made in zip(
            (Decision.SUCCEEDED, Decision.FAILED, Decision.AGAIN), (succeeded, failed, again), strict=True
        )
        if is_made
    ]
    if len(made) != 1:
        raise UsageError("say what became of the item: exactly one of succeeded, failed or again")
    if result is not None and made[0] is not Decision.SUCCEEDED:
        raise UsageError(f"an item settled as {made[0]} has no result; leave the result out")
    try:
        text = msgspec.json.encode(result)
        if msgspec.json.decode(text) != result:
            raise TypeError("JSON cannot say it exactly (NaN, a set, a tuple or a non-string key)")
        reason.encode()
    except (TypeError, ValueError, msgspec.MsgspecError) as problem:
        raise UsageError(f"the result or reason is not JSON: {problem}") from problem
    return made[0], text


def settle(
    store: Store,
    record: ExecutionRecord,
    item_id: str,
    decision: Decision,
    result: bytes,
    reason: str,
    actor: str,
) -> None:
    """Record a decision of `actor` about an item in doubt, through its owner where there is one.

    Raises:
        UsageError: no such item, it is not in doubt, or its owner did not react in time.
    """
    index = find_index(store.items(record.execution_key), item_id)
    if index is None:
        raise UnknownItem(f"batch {record.batch_id!r} has no item {item_id!r}; nothing was settled")
    asked = Settlement(index, decision, actor, time.time(), reason, result)
    _refuse_certain(store, record, index, item_id)
    patience = time.monotonic() + _REACTION
    is_asked = False
    while True:
        ownership = store.claim(record.execution_key, is_run=False)
        if ownership is not None:
            try:
                if is_asked and not _is_in_doubt(store, record.execution_key, index):
                    return  # the former owner did it
                compose.settle_at_rest(store, record, ownership, asked)
            finally:
                ownership.release()
            return
        if not is_asked:
            _refuse_certain(store, record, index, item_id)
            store.request(record.execution_key, ControlKind.SETTLE, asked.by, asked)
            is_asked = True
        if not _is_in_doubt(store, record.execution_key, index):
            return
        if time.monotonic() > patience:
            raise UsageError(
                f"whoever carries out batch {record.batch_id!r} has not settled item {item_id!r} within "
                f"{_REACTION:g} s; look at `everyitem status`, and settle again if it is still in doubt"
            )
        time.sleep(_LOOK_EVERY)


def _refuse_certain(store: Store, record: ExecutionRecord, index: int, item_id: str) -> None:
    now = store.find(record.batch_id, record.execution) or record
    intent = next((one for one in store.intents(record.execution_key) if one.index == index), None)
    if intent is None or (now.owned and not intent.doubt):
        what = "it may be running now" if intent else "it has an outcome, or was not called"
        raise WrongState(
            f"item {item_id!r} of batch {record.batch_id!r} is not in doubt ({what}); "
            "`everyitem explain` tells its story"
        )


def _is_in_doubt(store: Store, execution_key: int, index: int) -> bool:
    return any(one.index == index and one.doubt for one in store.intents(execution_key))
