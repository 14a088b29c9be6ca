"""The dashboard in a real browser: what it shows, what it does, and that it runs no code but its own."""

import itertools
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.services.browser import browsing
from tests.services.http_server import HttpServer, serving
from tests.services.ports import free_port

import everyitem
from everyitem.adapters.stores.opening import open_alerts
from everyitem.model.alerts import Alert, AlertKind, Level

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]

PROCESSORS = """
import itertools, os, time
from everyitem import PermanentItemError, item_processor

calls = itertools.count()


@item_processor("work")
def work(item, context):
    gate, call = context.parameters.get("gate"), next(calls)
    if item.get("dies"):
        os._exit(9)
    while gate and not (os.path.exists(gate) or os.path.exists(f"{gate}.{call}") or context.cancelled):
        time.sleep(0.005)
    time.sleep(item.get("seconds", context.parameters.get("seconds", 0)))
    if context.attempt == 1 and item["n"] % 10 == 4:
        raise ConnectionError(f"no answer from server {item['n']}")
    if item["n"] % 10 == 3:
        raise PermanentItemError("no price")
    return item["n"]
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("dashboard")
    (made / "processors.py").write_text(PROCESSORS)
    return made


@pytest.fixture(scope="module")
def server(folder: Path, root: Path) -> Iterator[HttpServer]:
    # items that wait for a gate that stays closed do not drain
    with serving(
        folder, root / "src", "--processors", folder / "processors.py", EVERYITEM_DRAIN_SECONDS="0.2"
    ) as running:
        yield running


def rest(page: Page, gate: Path) -> None:
    """Let items pass the gate, four and then one after the other, until the batch rests.

    Those in flight end, and so do those that were begun before its process heard of the pause; behind an open
    gate the whole batch might end before that.
    """
    for call in itertools.count():
        Path(f"{gate}.{call}").touch()
        if call >= 3:
            with suppress(AssertionError):
                expect(page.locator("#state")).to_have_text("paused", timeout=300)
                break
    gate.touch()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that must not complain: no error, nothing its own policy forbids."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    made = context.new_page()
    made.set_default_timeout(60_000)
    complaints: list[str] = []
    made.on("pageerror", lambda error: complaints.append(str(error)))
    made.on("console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None)
    made.on("dialog", lambda dialog: complaints.append(f"a dialog: {dialog.message}"))
    yield made
    context.close()
    assert complaints == []


@pytest.fixture
def submit(server: HttpServer) -> Callable[..., None]:
    """Hands a batch in."""

    def submit(
        batch_id: str, items: int = 30, changes: dict[str, object] | None = None, **parameters: object
    ) -> None:
        document = {
            "batchId": batch_id,
            "batchItems": [{"n": number, "amount": f"{number}.50"} for number in range(items)],
            "processingConfiguration": {
                "processor": "work", "parameters": parameters, "controlTotals": ["amount"],
                "retry": {"initialDelayMs": 1},
            },
            "allocatedResources": {"nodes": [{"nodeId": "local", "kind": "thread", "slots": 4}]},
            "executionPlan": {},
            "checkpointInterval": 10,
            **(changes or {}),
        }  # fmt: skip
        assert server.post("/v1/batches", document).status == 202

    return submit


def test_a_list_of_batches_follows_what_happens(server, page, submit):
    """States and counts change without the page being loaded again."""
    submit("listed")
    page.goto(server.url)
    row = page.get_by_role("row", name=re.compile("listed"))
    expect(row).to_contain_text("completed with errors")
    expect(row).to_contain_text("30 of 30")
    expect(row.locator(".failed-some")).to_have_text("3")
    page.get_by_label("Show").select_option("completed")
    expect(row).to_have_count(0)


def test_a_running_batch_is_shown_live(server, page, submit, folder):
    """Workers with the items they are at; figures that change at least once a second."""
    gate = folder / "gate-live"
    submit("live", 4000, gate=str(gate), seconds=0.005)
    page.goto(f"{server.url}/batches/live")
    expect(page.locator(".lane")).to_have_count(4)
    expect(page.locator(".lane").first).to_contain_text("item")
    gate.touch()
    done = page.locator("#done")
    expect(done).not_to_have_text("0 of 4,000 items")
    changes, before, until = 0, done.inner_text(), time.monotonic() + 60
    while changes < 3:
        assert time.monotonic() < until
        page.wait_for_timeout(50)
        changes += before != (before := done.inner_text())
    expect(page.locator("#rate")).to_have_attribute("aria-label", re.compile(r"now [1-9]"))
    expect(page.locator("#state")).to_have_text("completed with errors", timeout=60_000)
    expect(page.locator("#events")).to_contain_text("executed: 3,600 succeeded, 400 failed")
    expect(page.locator("#totals")).to_contain_text("8,000,000.00")


def test_buttons_control_a_batch_and_its_story_tells_who_did(server, page, submit, folder):
    """Pause, resume, fewer at once, cancel with a question first."""
    gate = folder / "gate-controlled"
    submit("controlled", 50, gate=str(gate))
    page.goto(f"{server.url}/batches/controlled")
    page.get_by_role("button", name="Pause").click()
    rest(page, gate)
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#state")).to_have_text("completed with errors")
    for deed in ("handed in by local", "paused by local", "resumed by local"):
        expect(page.locator("#events")).to_contain_text(deed)
    submit("unwanted", 50, gate=str(folder / "never"))
    page.goto(f"{server.url}/batches/unwanted")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Leave it").click()
    page.get_by_label("At once").fill("1")
    page.get_by_label("At once").press("Enter")
    expect(page.locator("#events")).to_contain_text("given another parallelism by local (parallelism 1)")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel it").click()
    expect(page.locator("#state")).to_have_text("cancelled")


def test_a_batch_that_is_run_again_leads_to_the_execution_before_and_back(server, page, submit):
    """Each execution keeps its page."""
    submit("again", 20)
    page.goto(f"{server.url}/batches/again")
    expect(page.locator("#state")).to_have_text("completed with errors")
    page.get_by_role("button", name="Run again").click()
    page.get_by_role("button", name="Run it again").click()
    expect(page.locator("#facts")).to_contain_text("execution 2")
    page.get_by_role("link", name="execution before this").click()
    expect(page.locator("#facts")).to_contain_text("execution 1")
    page.get_by_role("link", name="latest execution").click()
    expect(page.locator("#facts")).to_contain_text("execution 2")


def test_failures_are_grouped_shown_with_their_items_and_redriven(server, page, submit):
    """What was raised, where, and the payload; a redrive asks which ones."""
    submit("failing")
    page.goto(f"{server.url}/batches/failing")
    causes = page.locator("#causes tbody tr")
    expect(causes).to_have_text(
        ["3–PermanentItemError: no price", "–3ConnectionError: no answer from server 4"], timeout=60_000
    )
    page.locator("#failed details").first.locator("summary").click()
    expect(page.locator("#failed details").first).to_contain_text('"amount": "3.50"')
    expect(page.locator("#failed details").first).to_contain_text("processors.py:19 in work")
    page.get_by_role("button", name="Redrive failed items").click()
    page.get_by_label("Only failures that contain").fill("nothing like it")
    page.get_by_role("button", name="Redrive", exact=True).click()
    expect(page.locator("#state")).to_have_text("completed with errors")
    page.get_by_role("button", name="Redrive failed items").click()
    page.get_by_role("button", name="Redrive", exact=True).click()
    expect(page.locator("#facts")).to_contain_text("round 2")


def test_work_that_is_taken_over_is_shown_where_it_was_and_told(server, page, submit):
    """A quick node takes from a slow one: a lane for each worker by node, and who took how much."""
    items = [{"n": 10 * number, "seconds": 0.2 if number < 60 else 0.01} for number in range(120)]
    nodes = [{"nodeId": name, "kind": "thread", "slots": 2} for name in ("first", "second")]
    submit("shared", changes={"batchItems": items, "allocatedResources": {"nodes": nodes}})
    page.goto(f"{server.url}/batches/shared")
    expect(page.locator(".node")).to_have_count(2)
    expect(page.get_by_role("list", name="Workers of first").get_by_role("listitem")).to_have_count(2)
    expect(page.locator(".node").nth(1)).to_contain_text("took work over")
    expect(page.locator("#events")).to_contain_text(re.compile(r"second took \d+ items over from first"))
    expect(page.locator("#state")).to_have_text("completed")


def test_what_somebody_reads_stays_while_the_batch_goes_on(server, page, submit):
    """A failed item that was opened, and the place of the keyboard, survive what comes after."""
    items = [
        {"n": 3},
        *({"n": 10 * number} for number in range(40)),
        *({"n": 13 + 10 * n} for n in range(40)),
    ]
    submit("reading", seconds=0.1, changes={"batchItems": items})
    page.goto(f"{server.url}/batches/reading")
    first = page.locator("#failed summary").first
    first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#failed details").first).to_contain_text("PermanentItemError: no price")
    expect(page.locator("#state")).to_have_text("completed with errors")
    expect(page.locator("#failed details")).to_have_count(10)
    assert page.evaluate("document.activeElement === document.querySelector('#failed summary')")
    assert page.locator("#failed details").first.get_attribute("open") is not None


def test_an_item_in_doubt_is_settled_and_its_alert_looked_after(server, page, submit):
    """Somebody says what became of it and why; the batch can be resumed, and nobody is told of it again."""
    document = {
        "batchItems": [{"n": 1, "dies": True}, {"n": 2}],
        "processingConfiguration": {"processor": "work", "delivery": "at-most-once"},
        "allocatedResources": {"nodes": [{"nodeId": "local", "kind": "process", "slots": 1}]},
    }
    submit("doubtful", changes=document)
    page.goto(server.url)
    page.get_by_role("button", name="Acknowledge critical-error of doubtful").click()
    expect(page.locator("#alerts")).to_contain_text("local looks after it")
    page.locator("#alerts").get_by_role("link", name="doubtful").click()
    expect(page.locator("#failures-title")).to_have_text("In doubt")
    page.locator("#failed summary").click()
    page.get_by_role("button", name="It failed").click()
    page.get_by_label("Why").fill("asked the clearing house")
    page.get_by_role("button", name="It failed").last.click()
    expect(page.locator("#events")).to_contain_text("asked the clearing house")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#state")).to_have_text("completed with errors")


def test_an_alert_about_no_batch_leads_to_none(server, page, folder):
    """Events that nobody takes are a matter of the store."""
    stuck = Alert(
        alert_id="e1",
        batch_id="(events)",
        execution=0,
        kind=AlertKind.OUTBOX_STUCK,
        level=Level.WARNING,
        text="5 events wait",
        raised_at=time.time(),
        seen_at=time.time(),
    )
    with closing(open_alerts(f"sqlite:///{folder}/store.db")) as alerts:
        alerts.put(stuck)
    page.goto(server.url)
    expect(page.locator("#alerts")).to_contain_text("outbox stuck")
    expect(page.locator("#alerts").get_by_role("link", name="(events)")).to_have_count(0)
    page.get_by_role("button", name="Acknowledge outbox-stuck").click()


def test_a_report_is_one_click_away_and_has_its_looks(server, page, submit):
    """What its policy and the server's allow: a style of its own, and nothing else."""
    submit("reported")
    page.goto(f"{server.url}/batches/reported")
    page.get_by_role("link", name="report").click()
    expect(page.locator("h1")).to_have_text("reported")
    assert page.locator(".figures").evaluate("one => getComputedStyle(one).display") == "grid"


def test_names_are_text_and_never_code(server, page, submit):
    """Whatever a batch is called; the page would say if its policy was violated."""
    name = '<img src=x onerror="alert(1)">/../?#%41'
    submit(name)
    page.goto(server.url)
    page.get_by_role("link", name=name).click()
    expect(page.locator("#title")).to_have_text(name)
    expect(page.locator("#state")).to_have_text("completed with errors")


def test_a_server_that_is_gone_is_said_and_its_return_noticed(browser, folder, root, tmp_path):
    """What is shown stays; nobody has to load the page again."""
    store = f"sqlite:///{tmp_path}/gone.db"
    arguments = ("--processors", folder / "processors.py", "--port", free_port())
    page = browser.new_page()
    with serving(folder, root / "src", *arguments, store=store) as first:
        page.goto(first.url)
        expect(page.locator("#empty")).to_be_visible()
    expect(page.locator("#trouble")).to_contain_text("does not answer")
    with serving(folder, root / "src", *arguments, store=store):
        expect(page.locator("#trouble")).to_be_hidden()
    page.close()


def test_a_browser_nobody_knows_gets_the_form_and_then_the_page(page, folder, root, tmp_path):
    """With a token once; what changes something carries the session's CSRF token from then on."""
    token = "a-token-that-is-long-enough-to-be-one"
    store = f"sqlite:///{tmp_path}/guarded.db"
    with (
        serving(
            folder, root / "src", "--processors", folder / "processors.py", "--require-token", store=store,
            EVERYITEM_API_TOKEN=token,
        ) as guarded,
        everyitem.connect(guarded.url, token=token) as client,
    ):  # fmt: skip
        gate = folder / "gate-guarded"
        parameters = {"gate": str(gate)}
        client.submit({
            "batchId": "guarded", "batchItems": [{"n": 1}], "allocatedResources": {}, "executionPlan": {},
            "processingConfiguration": {"processor": "work", "parameters": parameters},
        })  # fmt: skip
        page.goto(f"{guarded.url}/batches/guarded")
        page.get_by_label("Access token").fill(token)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("heading", name="Batches")).to_be_visible()
        page.goto(f"{guarded.url}/batches/guarded")
        page.get_by_role("button", name="Pause").wait_for()
        # who may only read is offered nothing that would be refused
        made = guarded.request(
            "POST", "/v1/tokens", {"name": "reader", "scope": "read"},
            headers={"Authorization": f"Bearer {token}"},
        )  # fmt: skip
        reading = page.context.browser.new_context().new_page()
        reading.goto(f"{guarded.url}/batches/guarded")
        reading.get_by_label("Access token").fill(made.json["token"])
        reading.get_by_role("button", name="Log in").click()
        expect(reading.get_by_text(re.compile(r"reader \(\w+\) \(read\)"))).to_be_visible()
        reading.goto(f"{guarded.url}/batches/guarded")
        expect(reading.locator("#state")).to_have_text("running")
        expect(reading.locator("#controls > *")).to_have_count(0)
        reading.context.close()
        page.get_by_role("button", name="Pause").click()
        gate.touch()
        expect(page.locator("#events")).to_contain_text("paused by admin")
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Access token")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone(server, browser, submit, scheme):
    """Nothing is wider than the screen, and the important things can be read."""
    submit(f"phone-{scheme}")
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme)
    page = context.new_page()
    for place in ("/", f"/batches/phone-{scheme}"):
        page.goto(server.url + place)
        expect(page.get_by_text(f"phone-{scheme}").first).to_be_visible()
        expect(page.get_by_text("completed with errors").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    context.close()


def test_everything_can_be_done_with_the_keyboard(server, page, submit, folder):
    """What may be done is reached by Tab, has a name, and works by Enter."""
    gate = folder / "gate-keyboard"
    submit("keyboard", 20, gate=str(gate))
    page.goto(f"{server.url}/batches/keyboard")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    names = []
    for _ in range(12):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.textContent.trim().slice(0, 20)"))
        if names[-1] == "Pause":
            break
    assert names[0] == "Skip to the batch"
    page.keyboard.press("Enter")
    rest(page, gate)
    assert json.loads(server.get("/v1/batches/keyboard/history").body)["deeds"][-1]["action"] == "pause"
