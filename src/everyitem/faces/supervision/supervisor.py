"""The supervisor: starts a process, and starts it again when it crashes.

It decides by what its child has said (`link.py`) and how it ended. A proper end, an `ERROR` response and a
wrong option included, is the end. So is one after a signal that stops commands, which is passed on.
Everything else is a crash, and the child is started again: at once where it had got anywhere, else soon after
the first one, after at most `LONGEST_WAIT` seconds after more. `MOST_CRASHES` without a checkpoint in between
end it, as a last resort: items that kill the process are found and quarantined long before
(`ports/started.py`).

Starting means importing, which takes longer than everything else a restart does. So once a child has got
somewhere, another one is started in reserve: it imports, and then waits to be needed.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import IO, Final

from everyitem.faces.supervision.life import Life
from everyitem.faces.supervision.link import VARIABLE, Recovery, order, told
from everyitem.faces.supervision.stopping import stopping_signals

#: Seconds before the first restart in a row; each further one waits twice as long, up to the longest.
FIRST_WAIT: Final = 0.1
LONGEST_WAIT: Final = 4.0
#: Crashes in a row, without a checkpoint in between, after which it gives up.
MOST_CRASHES: Final = 10


class GaveUp(Exception):
    """The child has crashed too often without getting anywhere."""

    def __init__(self, message: str, recovery: Recovery | None) -> None:
        super().__init__(message)
        self.recovery = recovery


class _Child:
    """A process, the pipe through which it speaks, and, while it is in reserve, the one it listens to."""

    def __init__(self, process: "subprocess.Popen[bytes]", pipe: int, orders: int | None = None) -> None:
        self.process, self.pipe, self.orders = process, pipe, orders

    def begin(self, recovery: Recovery) -> bool:
        """Let one in reserve go on with this; False where it has ended."""
        if self.orders is None or self.process.poll() is not None:
            return False
        try:
            os.write(self.orders, f"{order(recovery)}\n".encode())
        except OSError:
            return False
        os.close(self.orders)
        self.orders = None
        return True

    def dismiss(self) -> None:
        """End it, if it has not ended, and free what it has taken."""
        self.process.kill()
        self.process.wait()
        for descriptor in (self.pipe, self.orders):
            if descriptor is not None:
                os.close(descriptor)


class Supervisor:
    """Keeps one command going. To be used in the main thread, once."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
        environment: Mapping[str, str] | None = None,
        say: Callable[[str], None],
        keeps_reserve: bool = False,
    ) -> None:
        """`stdin` is a file every child reads from its beginning, `say` tells people what happens.

        `stdout` is a file that holds what the last child has written, and nothing of those that crashed. With
        `keeps_reserve` the command calls `link.accept` and can wait there.
        """
        self._command, self._stdin, self._stdout, self._say = command, stdin, stdout, say
        self._environment = os.environ if environment is None else environment
        self._recovery: Recovery | None = None
        # two processes would read one file at the same place
        self._keeps_reserve = keeps_reserve and stdin is None
        self._child: _Child | None = None
        self._reserve: _Child | None = None
        #: The first signal that was passed on.
        self._stopped_by: int | None = None

    def run(self) -> int:
        """Run the command to its end; its exit code. Raises `GaveUp` and `OSError` (it cannot be started)."""
        wake, self._wake = os.pipe()
        for end in (wake, self._wake):
            os.set_blocking(end, False)
        former = {number: signal.signal(number, self._pass_on) for number in stopping_signals()}
        former[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, _be_woken)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        try:
            return self._keep_going(wake)
        finally:
            if self._reserve is not None:
                self._reserve.dismiss()
            signal.set_wakeup_fd(-1)
            for number, handler in former.items():
                signal.signal(number, handler)
            os.close(wake)
            os.close(self._wake)

    def _keep_going(self, wake: int) -> int:
        crashes = 0
        while True:
            life = self._live(wake)
            if (code := self._exit_code(life)) is not None:
                return code
            crashes = 1 if life.progressed else crashes + 1
            if crashes >= MOST_CRASHES:
                raise GaveUp(
                    f"the process crashed {crashes} times in a row without a checkpoint in between, "
                    f"at last with {life.text}; everything recorded stays recorded",
                    self._recovery,
                )
            wait = 0.0 if life.progressed else min(LONGEST_WAIT, FIRST_WAIT * 2 ** (crashes - 1))
            when = f"in {wait:g} s" if wait else "at once"
            self._say(f"the process was ended by {life.text}; starting it again {when}")
            if self._is_stopped_within(wait, wake):
                return 128 + (self._stopped_by or signal.SIGTERM)

    def _is_stopped_within(self, seconds: float, wake: int) -> bool:
        """Wait before the next life, unless somebody wants none."""
        until = time.monotonic() + seconds
        while self._stopped_by is None and (rest := until - time.monotonic()) > 0:
            if select.select([wake], [], [], rest)[0]:
                os.read(wake, 4096)
        return self._stopped_by is not None

    def _exit_code(self, life: Life) -> int | None:
        """The exit code of a child that has ended for good; None after a crash."""
        if life.ends is not None:
            return life.ends
        if self._stopped_by is not None:
            return 128 + self._stopped_by
        for number in stopping_signals():
            if life.returncode in (-number, 128 + number):
                # somebody has sent it to the child itself
                return 128 + number
        if not life.is_up and life.returncode > 0:
            # it does not even start; what is wrong has been said
            return life.returncode
        return None

    def _live(self, wake: int) -> Life:
        """One child, from its start to its end."""
        self._child = child = self._take_reserve() or self._start()
        if self._stopped_by is not None:
            # it came between the last child and this one
            child.process.send_signal(self._stopped_by)
        life, pipe = Life(), child.pipe
        try:
            while child.process.poll() is None:
                readable, _, _ = select.select([pipe, wake], [], [])
                if wake in readable:
                    os.read(wake, 4096)
                if pipe in readable and not self._hear(life, pipe):
                    break
                if life.progressed and self._keeps_reserve and self._reserve is None:
                    self._start_reserve()
            # what it said last may still be in the pipe; its own children may hold that open
            life.returncode = child.process.wait()
            os.set_blocking(pipe, False)
            while self._hear(life, pipe):
                pass
            return life
        finally:
            self._child = None
            os.close(pipe)

    def _start_reserve(self) -> None:
        """Have a child ready; where the machine has no room for one, the next start takes its time."""
        try:
            self._reserve = self._start(in_reserve=True)
        except OSError as error:
            self._keeps_reserve = False
            self._say(f"no process is kept in reserve: {error.strerror or error}")

    def _take_reserve(self) -> _Child | None:
        """The child in reserve, if there is one and it is known what it is to go on with."""
        reserve, self._reserve = self._reserve, None
        if reserve is None:
            return None
        self._clear_output()
        if self._recovery is not None and reserve.begin(self._recovery):
            return reserve
        reserve.dismiss()
        return None

    def _hear(self, life: Life, pipe: int) -> bool:
        """Take in what the child says; False when there is nothing (more)."""
        try:
            data = os.read(pipe, 65536)
        except BlockingIOError:
            return False
        self._recovery = life.hear(data) or self._recovery
        return bool(data)

    def _start(self, *, in_reserve: bool = False) -> _Child:
        if self._stdin is not None:
            self._stdin.seek(0)
        if not in_reserve:
            self._clear_output()
        ours, theirs = os.pipe()
        listens, orders = os.pipe() if in_reserve else (None, None)
        passed = [theirs] if listens is None else [theirs, listens]
        try:
            # a group of its own: Ctrl-C reaches the child through us, once
            process = subprocess.Popen(
                self._command,
                stdin=self._stdin or subprocess.DEVNULL,
                stdout=self._stdout,
                pass_fds=passed,
                process_group=0,
                env={**self._environment, VARIABLE: told(theirs, self._recovery, orders=listens)},
            )
        except BaseException:
            os.close(ours)
            if orders is not None:
                os.close(orders)
            raise
        finally:
            for descriptor in passed:
                os.close(descriptor)
        return _Child(process, ours, orders)

    def _clear_output(self) -> None:
        """Nothing of what a child that crashed has written is passed on."""
        if self._stdout is not None:
            self._stdout.seek(0)
            self._stdout.truncate()

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        self._stopped_by = self._stopped_by or number
        if self._child is not None:
            self._child.process.send_signal(number)


def _be_woken(_number: int, _frame: FrameType | None) -> None:
    """Without a handler of its own SIGCHLD would not reach the wake-up descriptor."""
