"""R7, the soak, for a minute: that the half hour which `make soak` takes is worth beginning."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

#: Mixed faults every four seconds instead of every twenty.
COMMAND = ["-m", "benchmarks.soak", "--minutes", "0.5", "--batches", "1", "--every", "4"]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_batch_that_everything_goes_wrong_with_ends_as_it_must(root: Path) -> None:
    """Every item has the outcome it must have, once; workers, store and coordinator have been away."""
    done = subprocess.run(
        [sys.executable, *COMMAND], cwd=root, capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stderr
    soak = json.loads(done.stdout)["soak"]
    assert soak["runs"] == 1 + soak["strikes"]["coordinator killed"]
    assert soak["strikes"].keys() == {"worker killed", "worker stopped", "store away", "coordinator killed"}
    assert soak["itemsFailed"] == 1
