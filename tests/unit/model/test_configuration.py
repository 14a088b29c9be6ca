"""How many failures a batch tolerates (contract section 1)."""

import pytest

from everyitem.model.configuration import ErrorStrategy, ProcessingConfiguration


@pytest.mark.parametrize(
    ("strategy", "count", "percentage", "items", "tolerated"),
    [
        ("FAIL_FAST", 10, 50.0, 100, 0),
        ("STOP_ON_TOLERANCE", None, None, 100, 0),
        ("STOP_ON_TOLERANCE", 7, None, 100, 7),
        ("STOP_ON_TOLERANCE", None, 5.0, 199, 9),
        ("STOP_ON_TOLERANCE", 3, 5.0, 100, 3),
        ("STOP_ON_TOLERANCE", 8, 5.0, 100, 5),
        ("CONTINUE_ON_ERROR", None, None, 100, None),
        ("CONTINUE_ON_ERROR", 2, None, 100, 2),
    ],
)
def test_tolerance_is_the_smaller_of_count_and_floored_percentage(
    strategy, count, percentage, items, tolerated
):
    """floor(n * percentage / 100); fail-fast tolerates none; no tolerance is none only when continuing."""
    configuration = ProcessingConfiguration(
        processor="p",
        strategy=ErrorStrategy(strategy),
        tolerated_failure_count=count,
        tolerated_failure_percentage=percentage,
    )
    assert configuration.tolerated_failures(items) == tolerated
    assert configuration.stops_on_failures is (strategy != "CONTINUE_ON_ERROR")
