"""The desk: looks at the runs of this process, keeps the book, and has its pages delivered and recorded.

It has a thread of its own, each channel has one, and so has the store: whatever hangs of them, the run goes
on, and so do the others.
"""

import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from everyitem.engine.alerts.book import AlertBook, Scope
from everyitem.engine.alerts.rules import RunWatch
from everyitem.model.alerts import Alert, Condition, Page, Silence
from everyitem.model.errors import StoreError
from everyitem.model.redaction import redact
from everyitem.model.status import ExecutionStatus
from everyitem.ports.alerts import AlertChannel, AlertStore
from everyitem.ports.observer import NoObserver, RunView, Vitals
from everyitem.settings.alerting import AlertSettings, Limits

_log = logging.getLogger("everyitem")

#: Seconds between two looks, and between two looks into the store while an alert stands.
LOOK = 1.0
LOOK_UP = 5.0
#: Seconds between two looks for alerts nobody repeats.
LOOK_ROUND = 30.0
#: Seconds the store's answer is waited for before somebody is told.
PATIENCE = 2.0
#: Pages that may wait for one channel.
_MOST_WAITING = 1000


class AlertDesk:
    """Alerts of everything one process executes."""

    def __init__(
        self,
        settings: AlertSettings,
        channels: Mapping[str, AlertChannel],
        open_store: Callable[[], AlertStore],
        *,
        adopts: bool = False,
    ) -> None:
        """`channels` has one for every name of the escalation; `open_store` may block and raise.

        A desk that `adopts` repeats what other processes left critical, once nobody else does.
        """
        self._settings, self._adopts = settings, adopts
        self._book = AlertBook(settings, new_id=lambda: secrets.token_hex(4))
        self._results: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._couriers = {name: _Courier(one, self._results.put, self) for name, one in channels.items()}
        self._records = _Records(open_store, self._results.put, self)
        self._runs: dict[Scope, RunAlerts] = {}
        #: Executions others have noticed something about.
        self._noticed: set[Scope] = set()
        #: Runs that ended before the store said what earlier ones had left, with what they leave themselves.
        self._leaving: dict[Scope, list[Condition]] = {}
        #: Epoch seconds that never step: this process's own time since it began.
        self._epoch = time.time() - time.monotonic()
        self._looked_up = 0.0
        self._is_asking = False
        self._is_closing = threading.Event()
        #: Guards the thread: whoever notices something first begins it.
        self._beginning = threading.Lock()
        self._thread: threading.Thread | None = None

    def observer(self) -> "RunAlerts":
        """The observer of one run."""
        return RunAlerts(self)

    @property
    def limits(self) -> Limits:
        """From when on something is wrong."""
        return self._settings.limits

    @property
    def repeat_seconds(self) -> float:
        """How long an incident is remembered."""
        return self._settings.repeat_seconds

    def notice(self, scope: Scope, conditions: Sequence[Condition]) -> None:
        """What is wrong with an execution nobody here carries out (any thread); all of it, each time."""
        self._results.put(lambda: self._take_notice(scope, conditions))
        self.begin()

    def now(self) -> float:
        """Epoch seconds."""
        return self._epoch + time.monotonic()

    def begin(self) -> None:
        """Look from now on (any thread); safe to repeat."""
        with self._beginning:
            if self._thread is None:
                self._thread = threading.Thread(target=self._live, name="everyitem-alerts", daemon=True)
                self._thread.start()

    def tell(self, what: Callable[[], None]) -> None:
        """Have the desk do this next, on its own thread."""
        self._results.put(what)

    def close(self) -> None:
        """Deliver and record what is still to be; waits no longer than every channel may take once."""
        if self._thread is None:
            return
        self._is_closing.set()
        self._results.put(lambda: None)
        patience = (len(self._settings.escalation) + 1) * self._settings.delivery_seconds
        self._thread.join(patience)
        for courier in self._couriers.values():
            courier.close()
        self._records.close()

    # ------------------------------------------------------------- the desk's own thread

    def enter(self, run: RunView, alerts: "RunAlerts") -> None:
        """A run begins."""
        scope = run.batch_id, run.execution
        if scope in self._leaving:
            self._end(scope, self._leaving.pop(scope))
        self._runs[scope] = alerts
        if run.run > 1:
            # an earlier run may have left alerts, which this one shall neither repeat nor leave standing
            self._look_up()

    def _take_notice(self, scope: Scope, conditions: Sequence[Condition]) -> None:
        if scope not in self._noticed:
            # an earlier process may have left alerts about it, which stand until all is seen to be well
            self._noticed.add(scope)
            self._look_up()
        self._book.see(scope, conditions, self.now())

    def leave(self, scope: Scope, conditions: list[Condition]) -> None:
        """A run has ended."""
        if self._is_asking:
            # what an earlier run has left is not known yet, and may be over with this one
            self._leaving[scope] = conditions
            self._book.see(scope, conditions, self.now())
        else:
            self._end(scope, conditions)

    def _end(self, scope: Scope, conditions: list[Condition]) -> None:
        self._runs.pop(scope, None)
        self._book.end(scope, conditions, self.now())

    def _look_up(self) -> None:
        self._is_asking, self._looked_up = True, self.now()
        self._records.look_up()

    def has_no_answer(self) -> None:
        """The store cannot be asked now: alerts go out all the same."""
        self._is_asking = False

    def remember(self, alerts: Sequence[Alert], silences: Sequence[Silence]) -> None:
        """What the store holds."""
        self._is_asking = False
        known = {alert.incident for alert in self._book.standing}
        scopes = self._runs.keys() | self._noticed
        mine = [one for one in alerts if (one.batch_id, one.execution) in scopes or one.incident in known]
        self._book.remember(mine)
        if self._adopts:
            self._book.adopt(alerts, self.now())
        self._book.silence(silences)

    def _live(self) -> None:
        while True:
            try:
                self._results.get(timeout=LOOK)()
                while True:
                    self._results.get_nowait()()
            except queue.Empty:
                pass
            except Exception:
                _log.exception("alerting failed at one thing, and goes on")
            try:
                self._look()
            except Exception:
                _log.exception("the look for alerts failed")
            is_done = self._book.is_quiet and not self._is_asking and self._records.is_idle
            if self._is_closing.is_set() and is_done:
                return

    def _look(self) -> None:
        now = self.now()
        for scope, run in list(self._runs.items()):
            if run.vitals is not None and scope not in self._leaving:
                self._book.see(scope, run.watch.look(*run.vitals), now)
        is_due = now >= self._looked_up + (LOOK_UP if self._book.standing else LOOK_ROUND)
        if is_due and (self._book.standing or self._adopts):
            self._look_up()
        if self._is_asking and now < self._looked_up + PATIENCE:
            return  # what the store knows may make a page needless
        for page in self._book.decide(now):
            self._couriers[page.channel].take(page)
        while self._leaving:
            self._end(*self._leaving.popitem())
        self._records.put(self._book.changes())

    def delivered(self, page: Page, *, reached: bool) -> None:
        """A channel is through with a page."""
        self._book.delivered(page, self.now(), reached=reached)


class RunAlerts(NoObserver):
    """What one run tells the desk."""

    def __init__(self, desk: AlertDesk) -> None:
        self._desk = desk
        self.vitals: tuple[float, Vitals] | None = None
        self._scope: Scope = ("", 0)
        self.watch: RunWatch = RunWatch(desk.limits, time.monotonic())

    def began(self, run: RunView) -> None:
        self._scope = run.batch_id, run.execution
        self._desk.begin()
        self._desk.tell(lambda: self._desk.enter(run, self))

    def looked(self, at: float, vitals: Vitals) -> None:
        self.vitals = at, vitals

    def noticed(self, condition: Condition, *, stands: bool) -> None:
        self._desk.tell(lambda: self.watch.notice(condition, stands=stands))

    def ended(self, status: ExecutionStatus, code: str, message: str) -> None:
        self._desk.tell(lambda: self._end(code, message))

    def _end(self, code: str, message: str) -> None:
        if self.vitals is not None:
            self.watch.look(*self.vitals)
        self._desk.leave(self._scope, self.watch.end(code, message))


class _Courier:
    """Delivers pages through one channel, one after the other, on a thread of its own."""

    def __init__(
        self, channel: AlertChannel, post: Callable[[Callable[[], None]], None], desk: AlertDesk
    ) -> None:
        self._channel, self._post, self._desk = channel, post, desk
        self._pages: queue.Queue[Page | None] = queue.Queue(_MOST_WAITING)
        self._thread: threading.Thread | None = None

    def take(self, page: Page) -> None:
        """Deliver this page when those before it are through."""
        if self._thread is None:
            name = f"everyitem-alerts-{self._channel.name}"
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._thread.start()
        try:
            self._pages.put_nowait(page)
        except queue.Full:
            self._answer(page, reached=False)

    def close(self) -> None:
        """Take no more; a page that hangs is left to itself."""
        try:
            self._pages.put_nowait(None)
        except queue.Full:
            return

    def _run(self) -> None:
        while (page := self._pages.get()) is not None:
            try:
                self._channel.send(page)
            except Exception as error:
                why = redact(str(error) or repr(error))
                _log.warning(
                    "alert %s did not go out by %r: %s", page.alert.alert_id, self._channel.name, why
                )
                self._answer(page, reached=False)
            else:
                self._answer(page, reached=True)

    def _answer(self, page: Page, *, reached: bool) -> None:
        self._post(lambda: self._desk.delivered(page, reached=reached))


class _Records:
    """Keeps alerts in the store, on a thread of its own; what cannot be written waits, newest state each."""

    def __init__(
        self,
        open_store: Callable[[], AlertStore],
        post: Callable[[Callable[[], None]], None],
        desk: AlertDesk,
    ) -> None:
        self._open, self._post, self._desk = open_store, post, desk
        self._guard = threading.Lock()
        self._waiting: dict[str, Alert] = {}
        self._asked = False
        self._is_closed = False
        self._something = threading.Event()
        self._store: AlertStore | None = None
        self._thread: threading.Thread | None = None
        self._failures = 0

    @property
    def is_idle(self) -> bool:
        """Nothing waits to be written, or it cannot be."""
        with self._guard:
            return not self._waiting or self._failures > 1

    def put(self, alerts: Sequence[Alert]) -> None:
        """Write these."""
        if alerts:
            with self._guard:
                self._waiting.update((alert.alert_id, alert) for alert in alerts)
            self._wake()

    def look_up(self) -> None:
        """Have the desk remember what the store holds."""
        self._asked = True
        self._wake()

    def close(self) -> None:
        """End when what is under way is through."""
        self._is_closed = True
        self._something.set()
        if self._thread is not None:
            self._thread.join(2.0)

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="everyitem-alert-records", daemon=True)
            self._thread.start()
        self._something.set()

    def _run(self) -> None:
        while not self._is_closed:
            self._something.wait(LOOK_UP if self._waiting else None)
            self._something.clear()
            try:
                self._work()
                self._failures = 0
            except Exception as error:
                # tried again with the next thing there is to write, or after a while
                self._failures += 1
                if not isinstance(error, StoreError) or self._failures == 1:
                    _log.warning("alerts cannot be recorded now: %s", redact(str(error) or repr(error)))
            finally:
                self._post(self._desk.has_no_answer if self._failures else lambda: None)
        if self._store is not None:
            self._store.close()

    def _work(self) -> None:
        if self._store is None:
            self._store = self._open()
        if self._asked:
            self._asked = False
            now, since = self._desk.now(), self._desk.now() - self._desk.repeat_seconds
            alerts, silences = self._store.recent(since), self._store.silences(now)
            self._post(lambda: self._desk.remember(alerts, silences))
        with self._guard:
            waiting = list(self._waiting.values())
        for alert in waiting:
            self._store.put(alert)
            with self._guard:
                if self._waiting.get(alert.alert_id) is alert:
                    del self._waiting[alert.alert_id]
