"""The started-items file of one execution, as runs hand it on to one another."""

import contextlib
import fcntl
import logging
import mmap
import os
import stat
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from everyitem.adapters.started.layout import (
    EXCUSED,
    HEAD_SIZE,
    MOST_BYTES,
    NOTHING,
    SURVIVED,
    Header,
    Unreadable,
    cell_capacity,
    pack_cell,
    pack_header,
    unpack_cell,
    unpack_header,
)
from everyitem.ports.started import Suspect, Suspicion

_log = logging.getLogger("everyitem")

#: Suspects run in about so many turns. Up to so many in flight run one at a time; of a thousand coroutines
#: that wait for a minute each, a kill from outside must not make a queue of sixteen hours.
TURNS = 16


class StartedFile:
    """`ports.started.StartedItems` in a file that is mapped into memory.

    The owner keeps the file locked; the kernel frees it however the process ends. So a file somebody still
    has locked belongs to an owner that was stopped and replaced, not to one that died.
    """

    def __init__(self, path: Path, *, identity: str, item_count: int, cells: int, capacity: int) -> None:
        """`cells` workers at most are noted at the same time, with `capacity` listed items each.

        With so many of both that the file would be too large to be read, it is fewer items.
        """
        self._path = path
        self._identity, self._item_count = identity, item_count
        self._capacity, self._cells = cell_capacity(cells, capacity), cells
        self._unused = cells
        #: Guards the room for cells: workers of several nodes may run out of theirs side by side.
        self._room = threading.Lock()
        #: There is no room on the disk for it to grow.
        self._is_full = False
        #: Between `begin` and `end`, unless no file could be made.
        self._is_noting = False
        self._sections: list[Section] = []
        self._token = 0
        self._is_open: Callable[[int], bool] = bool
        self._suspects: Sequence[Suspect] = ()
        self._together = 1
        #: Open, and locked, while this run has a file.
        self._descriptor = -1
        self._memory: mmap.mmap | None = None
        #: The same file, as it was mapped before it grew.
        self._outgrown: list[mmap.mmap] = []
        #: Where flags, suspects and unused cells begin in it.
        self._area = self._survived = self._free = self._cell_size = 0

    def begin(self, token: int, is_open: Callable[[int], bool]) -> Suspicion:
        """Take over what the run before left, and start noting; see the port."""
        self._token, self._is_open = token, is_open
        known, in_flight, self._together = self._read()
        suspects = {one.index: one for one in known}
        if len(in_flight) == 1 and (alone := in_flight[0]) in suspects:
            # a suspect, and nothing else was in flight: it ran alone, as suspects do
            suspects[alone] = Suspect(alone, suspects[alone].deaths + 1)
        for index in in_flight:
            suspects.setdefault(index, Suspect(index))
        # who is most likely to do it again goes first, before innocent ones have run in vain
        self._suspects = sorted(
            (one for one in suspects.values() if is_open(one.index)), key=lambda one: (-one.deaths, one.index)
        )
        if self._cells or self._suspects:
            self._replace(cells=self._cells)
            self._is_noting = self._memory is not None
        else:
            self._path.unlink(missing_ok=True)
            self._is_noting = True
        return Suspicion(self._suspects, self._together)

    def excuse(self) -> None:
        """The run is ending on purpose: nothing that is in flight will be suspected."""
        if self._memory is not None:
            self._memory[self._area + EXCUSED] = 1

    def end(self) -> None:
        """The run has ended in good order; see the port."""
        with self._room:
            self._is_noting = False
        if self._descriptor < 0:
            return
        noted = [*self._outgrown, self._memory]
        if self._memory is not None:
            survived = self._memory[self._survived : self._survived + len(self._suspects)]
            self._suspects = [
                one
                for one, is_over in zip(self._suspects, survived, strict=True)
                if not is_over and self._is_open(one.index)
            ]
        if self._is_ours():
            if self._suspects:
                self._replace(cells=0)
            else:
                self._path.unlink(missing_ok=True)
        if not any(section.is_busy for section in self._sections):
            # else abandoned threads may still note what they do: it goes when the last of them has gone
            for memory in filter(None, noted):
                memory.close()
        self._sections.clear()
        self._outgrown.clear()
        self._memory = None
        self._close()

    def section(self, cells: int) -> "Section | None":
        """Cells for a node, `cells` at first; None where nothing can be noted. Nodes may come at any time."""
        with self._room:
            if self._is_noting and self._memory is None:
                # no node that notes anything was there before
                self._replace(cells=cells)
                self._unused = cells
            if self._memory is None:
                return None
            memory, free = self._take(cells)
            if not free:
                return None
            watched = {one.index: self._survived + number for number, one in enumerate(self._suspects)}
            section = Section(memory, free, capacity=self._capacity, watched=watched, more=self._more)
            self._sections.append(section)
            return section

    def _more(self, cells: int) -> "tuple[mmap.mmap, list[int]] | None":
        with self._room:
            return self._take(cells) if self._is_noting and self._memory is not None else None

    def _take(self, cells: int) -> tuple[mmap.mmap, list[int]]:
        """So many cells nobody has, or fewer, and the mapping that covers them."""
        if cells > self._unused:
            self._grow(cells - self._unused)
        assert self._memory is not None
        cells = min(cells, self._unused)
        self._unused -= cells
        first = self._free
        self._free += cells * self._cell_size
        return self._memory, list(range(first, self._free, self._cell_size))

    def _grow(self, cells: int) -> None:
        """Append cells; without room for them there are none, and what would stand there is not noted."""
        assert self._memory is not None
        size = len(self._memory)
        more = cells * self._cell_size
        if self._is_full or size + more > MOST_BYTES:
            return
        try:
            _allocate(self._descriptor, size, more)
            grown = mmap.mmap(self._descriptor, 0)
        except OSError as error:
            self._is_full = True
            _log.warning(
                "the started-items file %s cannot grow (%s): should an item of the newest workers kill this "
                "process, it will not be known which one",
                self._path,
                error.strerror,
            )
            return
        self._outgrown.append(self._memory)
        self._memory = grown
        self._unused += cells

    def _read(self) -> tuple[list[Suspect], list[int], int]:
        """Suspects of the run before, what was in flight when it died, and how many to run together."""
        try:
            content, is_locked = _contents(self._path)
            if content is None:
                return [], [], 1
            header, area = unpack_header(content)
            self._check(header)
        except (OSError, Unreadable) as error:
            _log.warning(
                "the started-items file %s is ignored: %s; what was in flight when an earlier run died "
                "runs like any other item",
                self._path,
                error,
            )
            return [], [], 1
        survived = content[area + SURVIVED : area + header.cells_at]
        suspects = [one for one, is_over in zip(header.suspects, survived, strict=False) if not is_over]
        if is_locked or content[area + EXCUSED] or header.boot != _boot():
            # replaced while it was stopped, ended on purpose, or gone with the machine: no item did that
            return suspects, [], header.together
        in_flight: set[int] = set()
        busy = 0
        for first in range(area + header.cells_at, len(content) - header.cell_size + 1, header.cell_size):
            try:
                indices = unpack_cell(content[first : first + header.cell_size], header.item_count)
            except Unreadable as error:
                _log.warning("a part of the started-items file %s is ignored: %s", self._path, error)
                continue
            in_flight.update(indices)
            busy += bool(indices)
        return suspects, sorted(in_flight), -(-busy // TURNS) or header.together

    def _check(self, header: Header) -> None:
        if header.identity != self._identity or header.item_count != self._item_count:
            raise Unreadable("it belongs to another execution or round")
        if not 0 < header.token < self._token:
            raise Unreadable(f"it was left under ownership token {header.token}, and ours is {self._token}")

    def _replace(self, *, cells: int) -> None:
        """Put a new file in the place of the old one; on failure there is none, and the run goes on."""
        header = Header(
            identity=self._identity,
            token=self._token,
            item_count=self._item_count,
            boot=_boot(),
            suspects=list(self._suspects),
            together=self._together,
            cells=cells,
            capacity=self._capacity,
        )
        packed = pack_header(header)
        made = self._path.with_name(f"{self._path.name}.new")
        descriptor = -1
        try:
            made.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            made.unlink(missing_ok=True)
            descriptor = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _allocate(descriptor, 0, len(packed) + header.area_size)
            os.pwrite(descriptor, packed, 0)
            memory = mmap.mmap(descriptor, 0)
            made.replace(self._path)
        except OSError as error:
            _log.warning(
                "the started-items file %s cannot be written (%s): should an item kill this process, it will "
                "not be known which one",
                self._path,
                error.strerror,
            )
            with contextlib.suppress(OSError):
                made.unlink(missing_ok=True)
            if descriptor >= 0:
                os.close(descriptor)
            return
        self._close()
        self._descriptor, self._memory = descriptor, memory
        self._area = len(packed)
        self._survived, self._free = self._area + SURVIVED, self._area + header.cells_at
        self._cell_size = header.cell_size

    def _is_ours(self) -> bool:
        """Whether the file at the path is the one this run has made; another owner may have replaced it."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.lstat())
        except OSError:
            return False

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Section:
    """`ports.started.StartedCells` of one node: about half a microsecond per claim, nothing per item."""

    def __init__(
        self,
        memory: mmap.mmap,
        free: list[int],
        *,
        capacity: int,
        watched: Mapping[int, int],
        more: Callable[[int], tuple[mmap.mmap, list[int]] | None],
    ) -> None:
        """`free` are offsets of cells; `watched` says where to set a byte when a suspect was survived.

        `more(n)` gives that many cells to a node that has grown, and the mapping that covers all it has.
        """
        self._memory, self._free, self._capacity = memory, free, capacity
        self._watched, self._more = watched, more
        #: Where the cells of busy workers are.
        self._taken: dict[object, int] = {}
        #: Which suspect a worker is on.
        self._on: dict[object, int] = {}

    @property
    def is_busy(self) -> bool:
        """Whether a worker is at something, be it abandoned."""
        return bool(self._taken)

    def begin(self, worker: object, indices: Sequence[int]) -> None:
        """Note what a worker is about to start, having survived what it had before."""
        if self._watched:
            self._note_survival(worker)
            if len(indices) == 1 and indices[0] in self._watched:
                self._on[worker] = indices[0]
        self.narrow(worker, indices)

    def narrow(self, worker: object, indices: Sequence[int]) -> None:
        """Note what is left of it."""
        if not indices:
            self._clear(worker)
            return
        cell = self._taken.get(worker)
        if cell is None:
            if not self._free:
                self._extend()
            if not self._free:
                return
            cell = self._taken[worker] = self._free.pop()
        head, values = pack_cell(indices, self._capacity)
        memory, behind = self._memory, cell + HEAD_SIZE
        memory[cell:behind] = NOTHING
        memory[behind : behind + len(values)] = values
        memory[cell:behind] = head

    def _extend(self) -> None:
        """Twice the cells, for a node that has more workers than it began with."""
        found = self._more(max(1, len(self._taken)))
        if found is not None:
            self._memory, self._free = found

    def end(self, worker: object) -> None:
        """The worker runs nothing now."""
        if self._watched:
            self._note_survival(worker)
        self._clear(worker)

    def _note_survival(self, worker: object) -> None:
        if (index := self._on.pop(worker, None)) is not None:
            self._memory[self._watched[index]] = 1

    def _clear(self, worker: object) -> None:
        cell = self._taken.pop(worker, None)
        if cell is not None:
            self._memory[cell : cell + HEAD_SIZE] = NOTHING
            self._free.append(cell)


def _contents(path: Path) -> tuple[bytes | None, bool]:
    """What is in the file (None: there is none), and whether a living process has it locked."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None, False
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
            raise Unreadable("it is no file a run would write")
        is_locked = False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            is_locked = True
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(), is_locked
    finally:
        os.close(descriptor)


def _allocate(descriptor: int, start: int, size: int) -> None:
    """Room in the file, now: a full disk would answer a write to the mapping with SIGBUS."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, start, size)
    else:  # macOS
        os.ftruncate(descriptor, start + size)


def _boot() -> str:
    """The boot of this machine; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
