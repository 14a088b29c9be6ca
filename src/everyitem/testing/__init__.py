"""For users: test your item processors without starting anything.

    from everyitem.testing import flaky, run_inline

    def test_a_position_is_valued():
        '''A quote that fails twice is asked for again, and the value is quantity times price.'''
        run = run_inline(flaky(value_position, failures=2), [{"quantity": 3}], parameters={"price": 2})
        assert run.results == [{"value": 6}]
        assert run.outcomes[0].attempts == 3

`run_inline` calls your function exactly as a worker does (decoded JSON in, strict JSON out, the same
context), but in the calling thread and without waiting: delays between retries pass on a `FakeClock`.
"""

from everyitem.testing.clock import FakeClock
from everyitem.testing.flaky import FlakyError, flaky
from everyitem.testing.inline import InlineOutcome, InlineRun, run_inline

__all__ = ["FakeClock", "FlakyError", "InlineOutcome", "InlineRun", "flaky", "run_inline"]
