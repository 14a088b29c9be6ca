"""JSON lines: one object per record, secrets hidden, nobody held up."""

import json
import logging
import threading

import pytest

from everyitem.adapters.logs.background import MOST_WAITING, BackgroundHandler
from everyitem.adapters.logs.json_lines import JsonLines


def record(message, *values, **more):
    made = logging.LogRecord("everyitem.x", logging.WARNING, "f.py", 1, message, values, None)
    made.__dict__.update(more)
    return made


def line_of(made):
    text = JsonLines().format(made)
    assert "\n" not in text
    return json.loads(text)


def test_a_record_is_one_object():
    """Time, level, logger, message and the record's own fields."""
    line = line_of(record("item %s failed", "t-1", fields={"batchId": "b", "itemId": "t-1"}))
    assert line["time"].endswith("Z")
    assert (line["level"], line["logger"], line["message"]) == ("WARNING", "everyitem.x", "item t-1 failed")
    assert (line["batchId"], line["itemId"]) == ("b", "t-1")


@pytest.mark.parametrize(
    ("message", "values"), [("line\nforged \x1b[31m \ud800", ()), ("%d apples", ("no",)), ("%s", (object(),))]
)
def test_no_text_breaks_a_line(message, values):
    """Line breaks, escapes, lone surrogates and wrong arguments are just text."""
    assert line_of(record(message, *values))["message"]


def test_secrets_are_hidden_in_messages_fields_and_tracebacks():
    """The canary is found nowhere."""
    try:
        raise ValueError("password=canary1")
    except ValueError as error:
        made = record(
            "token=%s", "canary2", fields={"url": "postgresql://me:canary3@db", "secret": "canary4"}
        )
        made.exc_info = (type(error), error, error.__traceback__)
    text = JsonLines().format(made)
    assert "canary" not in text.replace('raise ValueError(\\"password=canary1\\")', "")


def test_a_reader_that_hangs_holds_nobody_up_and_drops_are_counted():
    """Saying something returns at once; what was dropped is said when somebody reads again."""
    gate, written = threading.Event(), []

    def write(line):
        gate.wait(30)
        written.append(line)

    handler = BackgroundHandler(write, JsonLines())
    for number in range(MOST_WAITING + 100):
        handler.emit(record("%d", number))
    gate.set()
    handler.close(timeout=30)
    assert len(written) in (MOST_WAITING + 1, MOST_WAITING + 2)
    assert any("log records were dropped" in line for line in written)


def test_closing_writes_what_waits():
    """Nothing of a short run is lost."""
    written = []
    handler = BackgroundHandler(written.append, JsonLines())
    for number in range(100):
        handler.emit(record("%d", number))
    handler.close(timeout=30)
    assert len(written) == 100
