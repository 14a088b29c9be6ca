"""The processes of the batches that run here, by execution."""

import select
import time
from collections.abc import Iterator

from everyitem.faces.service.bell import Bell
from everyitem.faces.service.child import Child


class Children:
    """All of them. To be used on the thread that starts them, which must outlive them."""

    def __init__(self) -> None:
        self._by_key: dict[int, Child] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Child]:
        return iter(list(self._by_key.values()))

    def __contains__(self, key: int) -> bool:
        return key in self._by_key

    def of(self, key: int) -> Child | None:
        """The process of an execution, if it is one of ours."""
        return self._by_key.get(key)

    def add(self, child: Child) -> None:
        """One more."""
        self._by_key[child.key] = child

    def ended(self) -> list[Child]:
        """Those whose process is gone; they stay until they are dropped."""
        return [child for child in self if child.has_ended()]

    def drop(self, child: Child) -> None:
        """Have no more to do with one that has ended; safe to repeat."""
        if self._by_key.pop(child.key, None) is not None:
            child.close()

    def wait(self, seconds: float, bell: Bell) -> None:
        """Until the bell is rung, one has ended, or the time is over; meanwhile hear what they say."""
        until = time.monotonic() + seconds
        silent: set[int] = set()
        while (rest := until - time.monotonic()) > 0:
            pipes = {child.pipe: child for child in self if child.pipe not in silent}
            # not `select`: descriptors beyond 1,023 are no more than a busy server has
            poll = select.poll()
            for descriptor in (bell.descriptor, *pipes):
                poll.register(descriptor, select.POLLIN)
            heard = [descriptor for descriptor, _ in poll.poll(rest * 1000)]
            if bell.descriptor in heard:
                bell.hush()
                return
            silent.update(descriptor for descriptor in heard if not pipes[descriptor].hear())
            if self.ended():
                return
