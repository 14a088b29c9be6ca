"""The report says what the store holds, shows no secret, and cannot be mistaken for a finished one."""

import hashlib
import json
import signal
import sqlite3
from html.parser import HTMLParser

HOSTILE = '<script src="http://evil.example/x.js"></script>&"\u202e'


class Page(HTMLParser):
    """The text of a page, its elements and their attributes."""

    def __init__(self, text):
        super().__init__()
        self.words, self.elements, self.attributes = [], [], []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)


def test_a_report_tells_of_a_batch_that_was_killed_resumed_and_redriven(workspace):
    """Its figures are those of `results`, and its digest can be made anew from its facts."""
    items = [
        {
            "itemId": f"t-{number}",
            "amount": f"{number}.25",
            **({"fail": "no price"} if number % 10 == 3 else {}),
        }
        for number in range(40)
    ]
    path = workspace.document(
        items,
        parameters={"gate": str(workspace.gate), "holdAfter": 20},
        configuration={"controlTotals": ["amount"]},
        checkpointInterval=5,
    )
    running = workspace.start("run", path, "--parallelism", 1)
    workspace.status_when(lambda status: status["checkpoints"] >= 3)
    running.send(signal.SIGKILL)
    running.end()
    unfinished = Page(workspace.do("report", "b").stdout)
    assert unfinished.text.count("NOT FINISHED") >= 3
    assert "Reviewed by" not in unfinished.text

    workspace.open_gate()
    workspace.json("resume", "b")
    fixed = workspace.folder / "fixed.jsonl"
    fixed.write_text(json.dumps({"itemId": "t-3", "amount": "1000.00"}))
    workspace.json("redrive", "b", "--items", fixed)

    out = workspace.folder / "report.html"
    assert workspace.do("report", "b", "--out", out).returncode == 0
    page = Page(out.read_text(encoding="utf-8"))
    report = workspace.json("report", "b", "--json")
    facts = report["facts"]
    results = workspace.lines("results", "b")
    assert facts["succeeded"] == sum(one["status"] == "SUCCEEDED" for one in results) == 37
    assert facts["failed"] == sum(one["status"] == "FAILED" for one in results) == 3
    assert [cause["items"] for cause in facts["causes"]] == [3]
    assert {one["itemId"] for one in facts["slowest"]} <= {one["itemId"] for one in results}
    assert facts["totals"]["amount"]["corrections"] == "996.75"
    points = workspace.json("checkpoints", "b", "--json")
    assert facts["checkpoints"]["count"] == len(points)
    assert facts["checkpoints"]["addingUp"] == len(points)
    assert facts["chainDigest"] == points[-1]["digest"]
    assert (facts["availability"]["runs"], facts["round"]) == (3, 2)
    compact = json.dumps(facts, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(compact.encode()).hexdigest() == report["digest"]
    for said in (report["digest"], points[-1]["digest"], "no price", "adds up", "Reviewed by"):
        assert said in page.text
    assert "NOT FINISHED" not in page.text


def test_the_curve_is_throughput_and_holds_every_outcome(workspace):
    """Rate by time makes the number of items again."""
    workspace.json("run", workspace.document(list(range(200)), checkpointInterval=20))
    paces = workspace.json("report", "b", "--json")["facts"]["paces"]
    done = sum(one["itemsPerSecond"] * (one["end"] - one["start"]) for one in paces)
    assert abs(done - 200) < 1


def test_nothing_from_a_batch_becomes_part_of_the_page(workspace):
    """Hostile ids and messages are text; the page asks for nothing and runs nothing."""
    workspace.json("run", workspace.document([{"itemId": HOSTILE, "fail": HOSTILE}]))
    page = Page(workspace.do("report", "b").stdout)
    assert "script" not in page.elements
    assert not {"src", "href", "style", "onload"} & {name for name, _ in page.attributes}
    assert HOSTILE.replace("\u202e", "") in page.text.replace("\u202e", "")
    assert ("http-equiv", "Content-Security-Policy") in page.attributes


def test_no_secret_is_shown(workspace):
    """Neither a parameter's value nor the store's password; a parameter's name is."""
    workspace.json("run", workspace.document([1], parameters={"apiToken": "hunter2"}))
    store = f"{workspace.store}?password=hunter2"
    for shown in (workspace.do("report", "b"), workspace.do("report", "b", "--json")):
        assert "apiToken" in shown.stdout
        assert "hunter2" not in shown.stdout + shown.stderr
    assert "hunter2" not in workspace.do("report", "b", "--store", store).stdout


def test_a_report_is_compared_with_the_last_batch_of_its_kind(workspace):
    """The same item processor, and an id that differs in digits only."""
    for day, count in (("eod-1", 3), ("other-1", 9), ("eod-2", 5)):
        workspace.json("run", workspace.document(list(range(count)), batch_id=day))
    earlier = workspace.json("report", "eod-2", "--json")["facts"]["earlier"]
    assert (earlier["batchId"], earlier["items"]) == ("eod-1", 3)


def test_what_was_damaged_is_no_report_to_sign(workspace):
    """A fault of the store stands at the top."""
    workspace.json("run", workspace.document([1, 2]))
    database = sqlite3.connect(workspace.folder / "store.db")
    with database:
        database.execute("UPDATE segments SET created_at = created_at + 1")
    database.close()
    page = Page(workspace.do("report", "b").stdout)
    assert "NOT SOUND" in page.text
    assert "Reviewed by" not in page.text
