"""A stretch: consecutive items of a lease that a slot decodes and works through in one go."""

from collections.abc import Sequence

import msgspec

from everyitem.model.items import BLOCK_ITEMS, item_id_of

#: Most items in a stretch: enough to make decoding cheap, few enough to hand out evenly.
MAX_ITEMS = BLOCK_ITEMS

_raw_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Stretch:
    """Some consecutive items of a lease, as JSON text.

    `text` is a JSON array of the items, `indices` their indices in the batch, `first` the position of the
    first one within the lease, `attempt` the 1-based attempt they are all on.
    """

    __slots__ = ("_raws", "attempt", "first", "indices", "text")

    def __init__(self, text: bytes, indices: Sequence[int], *, first: int, attempt: int) -> None:
        self.text = text
        self.indices = indices
        self.first = first
        self.attempt = attempt
        self._raws: list[msgspec.Raw] | None = None

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def stop(self) -> int:
        """The position after the last item."""
        return self.first + len(self.indices)

    def index_at(self, position: int) -> int:
        """The batch index of the item at this position of the lease."""
        return self.indices[position - self.first]

    def raws(self) -> list[msgspec.Raw]:
        """The items' texts one by one."""
        if self._raws is None:
            self._raws = _raw_list(self.text)
        return self._raws

    def item_id_at(self, position: int) -> str:
        """The id of the item at this position, from its text: functions may change their items."""
        return item_id_of(bytes(self.raws()[position - self.first]), self.index_at(position))
