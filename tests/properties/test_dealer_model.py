"""The dealer and its holders: no item is dealt to two, none is lost, whoever joins, finishes or dies."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from everyitem.engine.dealer import Dealer
from everyitem.engine.ledger import Ledger, Mark
from everyitem.engine.messages import RunSlice
from everyitem.engine.retries import Retry, RetryHeap

COUNT = 80
NODES = ("a", "b")


class DealerModel(RuleBasedStateMachine):
    """Eighty items; who has which of them by the commands that were given."""

    @initialize(
        cut=st.integers(0, COUNT), unit=st.sampled_from([1, 3]), isolating=st.sets(st.sampled_from(NODES))
    )
    def begin(self, cut: int, unit: int, isolating: set[str]) -> None:
        self.now = 0.0
        self.ledger = Ledger(bytearray(COUNT))
        self.retries = RetryHeap()
        self.dealer = Dealer(self.ledger, self.retries, until_failure=False, isolating=isolating, unit=unit)
        self.dealer.queues.put("a", 0, cut)
        self.dealer.queues.put("b", cut, COUNT)
        self.names = 0
        #: The items of each lease in force that have no answer yet, in the order of their positions.
        self.held: dict[tuple[str, int], list[int]] = {}
        self.leases: dict[tuple[str, int], RunSlice] = {}
        self.alone: set[int] = set()
        #: Leases of suspects, those that are over included.
        self.suspected: set[tuple[str, int]] = set()
        #: The node of each holder, and whether it is a shared queue; the slots nodes use.
        self.homes: dict[str, str] = {}
        self.shared: dict[str, bool] = {}
        self.limits: dict[str, int] = {}

    def deal(self) -> None:
        """Carry out what the dealer says."""
        for command in self.dealer.deal(self.now):
            if not isinstance(command, RunSlice):
                continue
            lease = command.lease
            indices = list(lease.indices)
            assert indices
            assert not {index for held in self.held.values() for index in held}.intersection(indices)
            assert all(self.ledger.mark(index) == Mark.LEASED for index in indices)
            if self.alone.intersection(indices):
                assert len(indices) == 1
                self.suspected.add((command.holder, lease.lease_id))
            self.held[command.holder, lease.lease_id] = indices
            self.leases[command.holder, lease.lease_id] = command
            if not self.shared[command.holder]:
                assert len(self.busy(command.node_id)) <= self.limits.get(command.node_id, self.names)
        # while a suspect's lease is in force everything else may have to wait, also once the item has failed
        if self.dealer.queues.remaining and not self.alone and self.suspected.isdisjoint(self.held):
            self.nobody_idles()

    def busy(self, node: str) -> set[str]:
        """The holders of a node that have a lease."""
        return {holder for holder, _ in self.held if self.homes[holder] == node}

    def nobody_idles(self) -> None:
        """There is work, so no worker is without where its node uses a slot for it."""
        for name, node in self.homes.items():
            busy = self.busy(node)
            assert name in busy or self.shared[name] or len(busy) >= self.limits.get(node, self.names + 1)

    @rule(node=st.sampled_from(NODES), slots=st.integers(1, 4), shared=st.booleans())
    def join(self, node: str, slots: int, *, shared: bool) -> None:
        """A holder comes; a second announcement changes nothing."""
        self.names += 1
        name = f"{node}/{self.names}"
        self.homes[name], self.shared[name] = node, shared
        for _ in range(2):
            self.dealer.join(name, node, slots if shared else 1, shared=shared)
        self.deal()

    @rule(node=st.sampled_from(NODES), slots=st.integers(0, 3))
    def resize(self, node: str, slots: int) -> None:
        """A node uses another number of slots from now on; what runs goes on."""
        self.limits[node] = slots
        self.dealer.resize(node, slots)
        self.deal()

    @precondition(lambda self: any(self.held.values()))
    @rule(data=st.data(), fails=st.booleans(), alone=st.booleans())
    def answer(self, data: st.DataObject, *, fails: bool, alone: bool) -> None:
        """Some items of a lease are done; or one of them failed and will be tried again."""
        key = data.draw(st.sampled_from(sorted(key for key, held in self.held.items() if held)))
        held = self.dealer.held(*key)
        assert held is not None
        count = 1 if fails else data.draw(st.integers(1, len(self.held[key])))
        done, self.held[key] = self.held[key][:count], self.held[key][count:]
        self.now += 0.01
        for index in done:
            if fails:
                held.settled.add(index)
                self.ledger.wait(index)
                self.retries.push(Retry(index, held.lease.attempt + 1, self.now, alone))
                self.alone.add(index) if alone else self.alone.discard(index)
            else:
                assert self.ledger.succeed([(index, 1)])
        self.dealer.note(key[0], held, count, self.now)
        self.wait()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def shorten(self, data: st.DataObject) -> None:
        """A holder gives back what it has not begun."""
        key = data.draw(st.sampled_from(sorted(self.held)))
        held = self.dealer.held(*key)
        assert held is not None
        answered = held.end - len(self.held[key])
        kept = data.draw(st.integers(answered, held.end))
        self.dealer.shorten(*key, kept, self.now)
        self.held[key] = self.held[key][: kept - answered]
        self.deal()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """A lease is over, with or without an answer to every item."""
        key = data.draw(st.sampled_from(sorted(self.held)))
        del self.held[key]
        self.dealer.finish(*key, self.now)
        assert self.dealer.held(*key) is None
        self.deal()

    @precondition(lambda self: self.homes)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        """A holder dies with all its leases; some of its items may be at fault."""
        name = data.draw(st.sampled_from(sorted(self.homes)))
        items = [index for key, held in self.held.items() if key[0] == name for index in held]
        suspects = data.draw(st.sets(st.sampled_from(items), max_size=3)) if items else set()
        self.dealer.lose(name, self.now, isolate=tuple(suspects))
        self.alone |= suspects
        self.held = {key: held for key, held in self.held.items() if key[0] != name}
        del self.homes[name]
        assert self.dealer.lose(name, self.now) is None
        self.deal()

    @rule()
    def wait(self) -> None:
        """Time passes, and what is due is dealt."""
        self.now += 0.02
        self.retries.release(self.now)
        self.deal()

    @invariant()
    def every_item_is_in_one_place(self) -> None:
        held = [index for items in self.held.values() for index in items]
        assert len(held) == len(set(held))
        assert all(self.ledger.mark(index) == Mark.LEASED for index in held)
        leased = sum(stop - start for start, stop in self.ledger.runs(Mark.LEASED))
        waiting = sum(stop - start for start, stop in self.ledger.runs(Mark.WAITING))
        fresh = sum(stop - start for start, stop in self.ledger.runs(Mark.OPEN))
        assert leased == len(held) == self.dealer.leased
        assert waiting == len(self.retries)
        assert fresh == self.dealer.queues.remaining
        assert self.dealer.is_idle == (not self.held)
        slots: dict[str, int] = {}
        for holder in self.dealer._census.holders.values():
            slots[holder.node_id] = slots.get(holder.node_id, 0) + holder.slots
        assert self.dealer.slots == sum(
            min(count, self.limits.get(node, count)) for node, count in slots.items()
        )


TestDealerModel = DealerModel.TestCase
TestDealerModel.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
