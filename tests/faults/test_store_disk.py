"""F22: the disk refuses to take more, at any write; what was recorded stays, and work goes on with room."""

import subprocess
import sys
from pathlib import Path

import pytest

from everyitem.adapters.stores import open_store

#: Commits 20 KB that cannot be packed, with files limited to argv[2] KB, until refused; then without limit.
LIMITED = """
import random, resource, sys
from everyitem.adapters.stores import open_store
from everyitem.model.errors import StoreError
from everyitem.model.items import InMemoryItems
from everyitem.model.outcome import Successes
from everyitem.ports.checkpoint import Commit, Counters, SegmentDraft
from everyitem.ports.execution import NewExecution

store = open_store(sys.argv[1])
items = InMemoryItems(b"[" + b",".join([b"0"] * 1000) + b"]", named=False)
record, ownership = store.create(
    NewExecution(batch_id="b", execution=1, content="c", items_digest=items.digest, item_count=1000,
                 named=False, processor="p", processor_code="x", envelope=b"{}"), items)

def commit(index):
    result = b'["' + random.Random(index).randbytes(20_000).hex().encode() + b'"]'
    segment = SegmentDraft([Successes([(index, 1)], 1, [1], result)], [])
    return Commit(segments=[segment], counters=Counters(succeeded=index + 1))

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]) << 10, resource.RLIM_INFINITY))
done = 0
refused = None
while refused is None:
    pending = commit(done)
    try:
        ownership.commit(pending)
        done += 1
    except StoreError as error:
        refused = error
print(done, type(refused).__name__, flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(ownership.commit(pending), flush=True)
"""


@pytest.mark.parametrize("kilobytes", [200, 204, 212, 333, 500])
def test_a_write_the_disk_refuses_loses_nothing_recorded(tmp_path: Path, kilobytes: int) -> None:
    """Files that may not grow make the commit fail as a whole; the same commit succeeds with room again."""
    url = f"sqlite:///{tmp_path / 's.db'}"
    answer = subprocess.run(
        [sys.executable, "-c", LIMITED, url, str(kilobytes)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.split()
    done, error, after = int(answer[0]), answer[1], int(answer[2])
    assert error in ("StoreError", "StoreFull")
    assert after == done + 1
    store = open_store(url)
    record = store.find("b")
    assert record is not None
    assert store.recorded(record.execution_key).ledger.count(1) == after
    assert store.verify(record.execution_key) == []
    store.close()
