"""A deterministic simulator: the engine's real decisions on bad days. One seed is one exact replay.

`Simulation` is the world: an event heap, one monotonic clock and a wall clock that is set now and then,
processes that are started, crash, are stopped and woken, and one store. What is real in it: the state
machine and all beneath it, building commits (`engine/commits.py`), beginning and ending a run
(`engine/resumption.py`), settling items in doubt (`engine/settling.py`), who may answer from the record
(`engine/submission.has_answered`), and an owner's transactions with their unknown ends
(`adapters/stores/transactions.py`). What is virtual: `Coordinator` (the process: submission, execution,
runtime), `VirtualWriter`, `VirtualHolder` (the nodes), `Person` (who settles) and `VirtualStore`.

What is checked, by the numbers of the invariants:

- I1: every item has exactly one outcome when the batch is complete (`VirtualStore.check_end`), and no run
  stands still.
- I2: counts agree with what is recorded, with every commit (`VirtualStore._count`) and every message
  (`deliver`).
- I3: no outcome is recorded twice, and no failed attempt that counts; one that an outage took is marked, or
  excused by a later segment in the same transaction as the retry (`_record_outcome`, `_record_segment`).
- I4: no attempt beyond the budget; used-up attempts are not forgotten; a worker's death is on disk before
  its item runs again (`Witness.starts`).
- I5: only the owner writes, and no owner that was heard of within its lease is replaced (`pass_guard`).
- I6: checkpoints, segments, counters and pending retries belong together (`apply`, `check_end`).
- I7: event ids are unique, a response has one terminal event, each round has one BatchExecuted and each
  segment one CheckpointCreated (`_add_events`, `check_end`).
- I8: nothing runs again without a cause, which is only what a crash, a lost worker or a lost message left
  unrecorded, an outage, or an item that asked for it (`Witness.starts`); segments hold what
  they may, no checkpoint is late.
- I10: every outcome, its attempt and its result are those of an undisturbed run (`Fate.expected`), but for
  items that were charged for somebody else's kill or settled by a person.
- At-most-once: no attempt is called twice by anybody, none without an intent on disk, none while it is not
  known what became of an earlier one (`Witness.starts`); no crash leaves more in doubt than it may, only
  what is in doubt is settled, nothing is in doubt at the end (`VirtualIntents`, `check_end`).
- Deferred items: a deferral on disk ends with an outcome, a retry or a doubt in the same transaction; until
  then its item is not called (`Witness.starts`); and it runs out of time only when its owner has asked for
  events after that and heard nothing (`VirtualDeferrals`).
- F21: timeouts count active time only, and active time never shrinks (`Coordinator._check_time`, `_count`).
- The error strategies stop at exactly the limit + 1 (`Coordinator._check_limit`), and states make legal
  moves only (`VirtualStore.move`).

I9 (nothing is left behind) is about real processes and files, and not for a simulator.
"""

from everyitem.testing.simulator.failed import SimulationFailed
from everyitem.testing.simulator.simulation import Simulation

__all__ = ["Simulation", "SimulationFailed"]
