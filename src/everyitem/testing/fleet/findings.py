"""What a fleet has shown."""

import msgspec


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """One batch on a fleet. Virtual figures are the same at each repetition; real ones are this machine's."""

    nodes: int
    workers: int
    items: int
    #: Items with an outcome.
    succeeded: int
    failed: int
    #: Virtual seconds from the first message to the verdict.
    makespan: float
    #: Virtual seconds it would take if all workers were busy from the first moment to the last.
    ideal: float
    slices: int
    steals: int
    #: Slices of which the unstarted rest was taken back for an idle worker.
    recalls: int
    checkpoints: int
    nodes_lost: int
    #: Messages the state machine has handled.
    messages: int
    #: Seconds of processor time it took for that; nothing else of the coordinator's work is in them.
    deciding: float
    #: Real seconds of the whole simulation.
    simulating: float
    #: Bytes of this process at the end, beyond those at the beginning; one for each item is the ledger's.
    memory_grown: int

    @property
    def efficiency(self) -> float:
        """The part of the workers' time that went into items, 0 to 1."""
        return self.ideal / self.makespan if self.makespan else 1.0

    @property
    def microseconds_per_item(self) -> float:
        """What deciding cost for each item."""
        return self.deciding * 1e6 / max(1, self.items)

    @property
    def microseconds_per_message(self) -> float:
        """What deciding cost for each message."""
        return self.deciding * 1e6 / max(1, self.messages)

    @property
    def load(self) -> float:
        """The part of the makespan this machine would be deciding; above 1 it could not keep up."""
        return self.deciding / self.makespan if self.makespan else 0.0

    @property
    def saturates_at(self) -> int:
        """Nodes like these with which a coordinator on this machine would do nothing but decide."""
        return int(self.nodes / self.load) if self.load else self.nodes

    @property
    def memory_beyond_ledger(self) -> int:
        """Bytes that are not the ledger's one byte for each item."""
        return max(0, self.memory_grown - self.items)
