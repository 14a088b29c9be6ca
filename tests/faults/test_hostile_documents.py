"""Documents made to do harm (fault matrix F27 to F29 and F32): refused with path and reason, nothing runs."""

import json
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from everyitem.faces.documents import read_document
from everyitem.model.errors import DocumentRefused, ErrorCode
from everyitem.settings import Settings

EXECUTION, ITEM, RESOURCE = ErrorCode.EXECUTION_ERROR, ErrorCode.ITEM_ERROR, ErrorCode.RESOURCE_ERROR

SOUND = {
    "batchId": "b",
    "batchItems": [],
    "processingConfiguration": {"processor": "p"},
    "allocatedResources": {},
    "executionPlan": {},
}


def with_items(text: bytes) -> bytes:
    """A sound document whose `batchItems` is this text."""
    return json.dumps(SOUND).encode().replace(b'"batchItems": []', b'"batchItems": ' + text)


def with_field(name: str, text: bytes) -> bytes:
    """A sound document with one more top-level field."""
    return json.dumps(SOUND).encode()[:-1] + b', "' + name.encode() + b'": ' + text + b"}"


def with_configuration(text: bytes) -> bytes:
    """A sound document with more in its processingConfiguration."""
    return json.dumps(SOUND).encode().replace(b'"processor": "p"', b'"processor": "p", ' + text)


def without(name: str) -> bytes:
    """A sound document lacking one field."""
    return json.dumps({key: value for key, value in SOUND.items() if key != name}).encode()


DEEP = 1_000_000
PLAIN = json.dumps(SOUND)

# name: (document, or how to make a large one; path of the first problem, words of its message, code)
HOSTILE: dict[str, tuple[bytes | Callable[[], bytes], str, str, ErrorCode]] = {
    "empty": (b"", "$", "empty", EXECUTION),
    "white space only": (b" \n\t ", "$", "empty", EXECUTION),
    "NULs": (b"\x00" * 100, "$", "NUL", EXECUTION),
    "NUL inside": (PLAIN.encode() + b"\x00", "$", "not valid JSON", EXECUTION),
    "random bytes": (bytes(range(128, 256)), "$", "not UTF-8", EXECUTION),
    "BOM": (b"\xef\xbb\xbf" + PLAIN.encode(), "$", "byte order mark", EXECUTION),
    "UTF-16 with mark": (PLAIN.encode("utf-16"), "$", "UTF-16", EXECUTION),
    "UTF-16 LE": (PLAIN.encode("utf-16-le"), "$", "UTF-16", EXECUTION),
    "UTF-16 BE": (PLAIN.encode("utf-16-be"), "$", "UTF-16", EXECUTION),
    "UTF-32 with mark": (PLAIN.encode("utf-32"), "$", "UTF-32", EXECUTION),
    "UTF-32 BE": (PLAIN.encode("utf-32-be"), "$", "UTF-32", EXECUTION),
    "Latin-1": (with_field("note", '"Zürich"'.encode("latin-1")), "$", "not UTF-8: byte 0xfc", EXECUTION),
    "a number": (b"5", "$", "one JSON object", EXECUTION),
    "an array": (b"[]", "$", "one JSON object", EXECUTION),
    "null": (b"null", "$", "one JSON object", EXECUTION),
    "cut short": (PLAIN.encode()[:-3], "$", "not valid JSON", EXECUTION),
    "open string": (b'{"batchId": "b', "$", "not valid JSON", EXECUTION),
    "trailing text": (PLAIN.encode() + b" x", "$", "not valid JSON", EXECUTION),
    "two documents": (PLAIN.encode() * 2, "$", "not valid JSON", EXECUTION),
    "trailing comma": (with_items(b"[1,]"), "$", "not valid JSON", EXECUTION),
    "comment": (b"/* hello */" + PLAIN.encode(), "$", "not valid JSON", EXECUTION),
    "single quotes": (PLAIN.replace('"', "'").encode(), "$", "not valid JSON", EXECUTION),
    "control character": (with_field("note", b'"a\x01b"'), "$", "not valid JSON", EXECUTION),
    "leading zero": (with_items(b"[007]"), "$", "not valid JSON", EXECUTION),
    "deep items": (with_items(b"[" * DEEP + b"]" * DEEP), "$.batchItems[0]", "deeper than 100", ITEM),
    "deep and open": (with_items(b"[" * DEEP), "$.batchItems[0]", "deeper than 100", ITEM),
    "deep objects": (with_items(b'{"a":' * DEEP), "$", "deeper than 100", EXECUTION),
    "deep objects in an array": (
        with_items(b"[" + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"]"),
        "$.batchItems[0].a.a",
        "deeper than 100",
        ITEM,
    ),
    "deep by one level": (
        with_items(b"[" + b"[" * 101 + b"]" * 101 + b"]"),
        "$.batchItems[0][0]",
        "100",
        ITEM,
    ),
    "deep behind strings": (
        with_items(b'[{"s": "]]]]\\"]]", "a": ' + b"[" * 200 + b"]" * 200 + b"}]"),
        "$.batchItems[0].a[0]",
        "deeper than 100",
        ITEM,
    ),
    "deep envelope": (with_field("x", b"[" * DEEP + b"]" * DEEP), "$.x[0]", "deeper than 100", EXECUTION),
    "deep envelope by little": (with_field("x", b"[" * 150 + b"]" * 150), "$.x[0]", "100", EXECUTION),
    "10^400 in an item": (
        with_items(b"[1" + b"0" * 400 + b"]"),
        "$.batchItems[0]",
        "range of a double",
        ITEM,
    ),
    "10^308 times ten": (with_items(b"[1" + b"0" * 309 + b"]"), "$.batchItems[0]", "range of a double", ITEM),
    "5,000 digits": (
        with_items(b"[[" + b"7" * 5000 + b"]]"),
        "$.batchItems[0][0]",
        "range of a double",
        ITEM,
    ),
    "a million digits": (
        with_items(b"[-" + b"7" * DEEP + b"]"),
        "$.batchItems[0]",
        "range of a double",
        ITEM,
    ),
    "1e999": (with_items(b'[{"a": 1e999}]'), "$.batchItems[0].a", "range of a double: 1e999", ITEM),
    "-1e400": (with_items(b"[0, -1e400]"), "$.batchItems[1]", "range of a double", ITEM),
    "1e400 in parameters": (
        with_configuration(b'"parameters": {"x": 1e400}'),
        "$.processingConfiguration.parameters.x",
        "range of a double",
        EXECUTION,
    ),
    "5,000 digits in a field": (with_field("x", b"9" * 5000), "$.x", "range of a double", EXECUTION),
    "huge level": (
        with_field("parallelismLevel", b"1" + b"0" * 300),
        "$.parallelismLevel",
        "at most",
        EXECUTION,
    ),
    "NaN item": (with_items(b"[1, NaN]"), "$.batchItems[1]", "NaN is not a JSON value", ITEM),
    "Infinity inside an item": (with_items(b'[{"a": [Infinity]}]'), "$.batchItems[0].a[0]", "Infinity", ITEM),
    "-Infinity": (with_items(b"[-Infinity]"), "$.batchItems[0]", "-Infinity", ITEM),
    "NaN in parameters": (
        with_configuration(b'"parameters": {"x": [NaN]}'),
        "$.processingConfiguration.parameters.x[0]",
        "NaN",
        EXECUTION,
    ),
    "NaN as a number": (with_field("checkpointInterval", b"NaN"), "$.checkpointInterval", "NaN", EXECUTION),
    "lone high surrogate": (with_items(b'["\\ud800"]'), "$.batchItems[0]", "lone surrogate \\ud800", ITEM),
    "lone low surrogate": (with_items(b'["x\\udc00y"]'), "$.batchItems[0]", "lone surrogate", ITEM),
    "surrogates the wrong way": (
        with_items(b'["\\udc00\\ud800"]'),
        "$.batchItems[0]",
        "lone surrogate",
        ITEM,
    ),
    "surrogate in a key": (with_items(b'[{"\\ud800": 1}]'), "$.batchItems[0]", "lone surrogate", ITEM),
    "surrogate in the batchId": (
        PLAIN.encode().replace(b'"b"', b'"\\ud800"'),
        "$.batchId",
        "lone surrogate",
        EXECUTION,
    ),
    "surrogate as raw bytes": (with_items(b'["\xed\xa0\x80"]'), "$.batchItems[0]", "not UTF-8", ITEM),
    "overlong UTF-8": (with_items(b'["\xc0\xaf"]'), "$.batchItems[0]", "not UTF-8", ITEM),
    "cut UTF-8": (with_items(b'[1, "\xe2\x82"]'), "$.batchItems[1]", "not UTF-8", ITEM),
    "broken UTF-8 in the envelope": (with_field("x", b'"\xff"'), "$", "not UTF-8: byte 0xff", EXECUTION),
    "repeated batchId": (with_field("batchId", b'"c"'), "$.batchId", "occurs twice", EXECUTION),
    "repeated batchItems": (with_field("batchItems", b"[1]"), "$.batchItems", "occurs twice", EXECUTION),
    "repeated by escape": (with_field("batch\\u0049d", b'"c"'), "$.batchId", "occurs twice", EXECUTION),
    "repeated processor": (
        with_configuration(b'"processor": "q"'),
        "$.processingConfiguration.processor",
        "occurs twice",
        EXECUTION,
    ),
    "repeated parameter": (
        with_configuration(b'"parameters": {"x": 1, "x": 1}'),
        "$.processingConfiguration.parameters.x",
        "occurs twice",
        EXECUTION,
    ),
    "no batchId": (without("batchId"), "$.batchId", "is required", EXECUTION),
    "no batchItems": (without("batchItems"), "$.batchItems", "is required", EXECUTION),
    "no configuration": (
        without("processingConfiguration"),
        "$.processingConfiguration",
        "required",
        EXECUTION,
    ),
    "no resources": (without("allocatedResources"), "$.allocatedResources", "is required", EXECUTION),
    "no plan": (without("executionPlan"), "$.executionPlan", "is required", EXECUTION),
    "items as an object": (with_items(b"{}"), "$.batchItems", "must be an array", EXECUTION),
    "items as text": (with_items(b'"[]"'), "$.batchItems", "must be an array", EXECUTION),
    "items null": (with_items(b"null"), "$.batchItems", "must be an array", EXECUTION),
    "duplicate ids": (
        with_items(b'[{"itemId":"a"},{"itemId":"a"}]'),
        "$.batchItems[1].itemId",
        "item 0",
        ITEM,
    ),
    "duplicate ids by escape": (
        with_items(b'[{"itemId":"a"},{"item\\u0049d":"\\u0061"}]'),
        "$.batchItems[1].itemId",
        "already the id of item 0",
        ITEM,
    ),
    "id of another position": (
        with_items(b'[{"itemId":"1"},0]'),
        "$.batchItems[0].itemId",
        "position id",
        ITEM,
    ),
    "numeric id": (with_items(b'[{"itemId": 5}]'), "$.batchItems[0].itemId", "must be a string", ITEM),
    "null id": (with_items(b'[{"itemId": null}]'), "$.batchItems[0].itemId", "must be a string", ITEM),
    "empty id": (with_items(b'[{"itemId": ""}]'), "$.batchItems[0].itemId", "must not be empty", ITEM),
    "id with NUL": (with_items(b'[{"itemId": "a\\u0000"}]'), "$.batchItems[0].itemId", "U+0000", ITEM),
    "batchId with NUL": (PLAIN.encode().replace(b'"b"', b'"b\\u0000"'), "$.batchId", "U+0000", EXECUTION),
    "100,001 items": (
        with_items(b"[" + b"0," * 100_000 + b"0]"),
        "$.batchItems",
        "limit is 100,000",
        EXECUTION,
    ),
    "a 100 MB string": (
        lambda: with_items(b'["' + b"x" * 100_000_000 + b'"]'),
        "$.batchItems[0]",
        "the limit is 16,777,216",
        ITEM,
    ),
    "10 million keys in the envelope": (
        lambda: with_field("x", b"{" + b'"k":0,' * 10_000_000 + b'"k":0}'),
        "$",
        "bytes beside the items",
        EXECUTION,
    ),
    "2 million keys in an item": (
        lambda: with_items(b"[{" + b",".join(b'"%d":0' % n for n in range(2_000_000)) + b"}]"),
        "$.batchItems[0]",
        "the limit is 16,777,216",
        ITEM,
    ),
}


def document_of(name: str) -> bytes:
    """The named document's bytes."""
    document = HOSTILE[name][0]
    return document if isinstance(document, bytes) else document()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_document_is_refused_with_its_path(name: str) -> None:
    """Refused at its path, for its reason, under its code, within three times the promised second of work."""
    _, path, words, code = HOSTILE[name]
    document = document_of(name)
    start = time.thread_time()
    with pytest.raises(DocumentRefused) as refused:
        read_document(document, settings=Settings())
    assert time.thread_time() - start < 3
    first = refused.value.problems[0]
    assert first.path.startswith(path)
    assert words in first.message
    assert refused.value.refusal_code is code
    assert len(str(first)) < 300


def test_the_table_has_at_least_sixty_documents() -> None:
    """The fault matrix asks for sixty."""
    assert len(HOSTILE) >= 60


MEASURE = """
from everyitem.faces.documents import read_document
from everyitem.model.errors import DocumentRefused
from everyitem.settings import Settings
try:
    read_document("-", settings=Settings())
except DocumentRefused:
    # not getrusage: its peak is inherited from the process that started this one
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.parametrize(
    "name",
    [
        "a 100 MB string",
        "10 million keys in the envelope",
        "2 million keys in an item",
        "deep objects in an array",
    ],
)
def test_refusing_takes_at_most_five_times_the_document_and_100_mb(name: str) -> None:
    """Peak memory of a process that reads the document stays within 5 x input + 100 MB."""
    document = document_of(name)
    ran = subprocess.run([sys.executable, "-c", MEASURE], input=document, capture_output=True, check=True)
    assert int(ran.stdout) * 1024 < 5 * len(document) + 100 * 1024 * 1024


CODE = ["os", "subprocess", "builtins", "antigravity", "everyitem.testing", "__main__", "..evil", "/tmp/evil"]
SHAPES = [
    "{}",
    "{}:system",
    "{}.system",
    "{}.py",
    "file://{}",
    "py:{}",
    "import {}",
    "__import__('{}')",
    "exec('import {}')",
    "{}:Popen(['true'])",
    "{}\n",
    " {}",
    "../{}",
    "!!python/name:{}",
    "${{{}}}",
    "{{{{{}}}}}",
    "{}#egg",
    "{}@1.0",
    "c{}\nsystem\n.",
    "gASV{}",
    "{}\u2024system",
    "pkg://{}",
    "entry_point:{}",
    "{}()",
    "lambda: {}",
]

WATCH = """
import json, sys
from everyitem.faces.documents import read_document
from everyitem.settings import Settings
names = json.load(sys.stdin)
def read(name):
    return read_document({
        "batchId": "b", "batchItems": [], "allocatedResources": {}, "executionPlan": {},
        "processingConfiguration": {"processor": name, "module": name, "handler": name, "processors": [name]},
    }, settings=Settings()).batch.configuration.processor
read("p")  # what reading itself loads lazily is loaded by now
seen = []
sys.addaudithook(lambda event, _: event in ("import", "exec", "compile", "open") and seen.append(event))
assert [read(name) for name in names] == names
print(json.dumps(seen))
"""


def test_no_name_in_a_document_ever_causes_an_import() -> None:
    """200 processor names that try to be code: each stays a name; nothing is imported, compiled or opened."""
    names = [shape.format(code) for code in CODE for shape in SHAPES]
    assert len(names) == 200
    ran = subprocess.run(
        [sys.executable, "-c", WATCH], input=json.dumps(names), capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout) == []
