"""Documents and responses under arbitrary input: nothing crashes, nothing leaks, nothing is altered."""

import json
import math

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from everyitem.faces.documents import read_document
from everyitem.model.checks import ExecutionFacts
from everyitem.model.errors import DocumentRefused, ErrorCode, Problem
from everyitem.model.response import ExecutionFailure, consolidate, parse_response, refuse
from everyitem.settings import Settings

SETTINGS = Settings()

#: Any text, lone surrogates included.
anything_text = st.text(st.characters(exclude_categories=[]), max_size=20)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
python_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | anything_text
    | st.binary(max_size=4)
    | st.decimals()
    | st.sets(st.integers(), max_size=2)
    | st.tuples(st.integers()),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(anything_text | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def document(items, **fields):
    """A sound document around these items."""
    return {
        "batchId": "b",
        "batchItems": items,
        "processingConfiguration": {"processor": "p"},
        "allocatedResources": {},
        "executionPlan": {},
    } | fields


def reading(given_document):
    """The batch and no problems, or no batch and the problems; anything else raised is a crash."""
    try:
        return read_document(given_document, settings=SETTINGS).batch, ()
    except DocumentRefused as refused:
        return None, refused.problems


def reject_constant(name):
    """Strict parsing: NaN and Infinity are no JSON."""
    raise AssertionError(f"{name} leaked")


def strictly(text):
    """Parse as strictly as anyone may."""
    assert msgspec.json.decode(text) is not None
    return json.loads(text.decode("utf-8"), parse_constant=reject_constant)


def is_own_id(item):
    """Whether an item names itself; such items may clash, which other tests look at."""
    return isinstance(item, dict) and "itemId" in item


@given(items=st.lists(json_values.filter(lambda item: not is_own_id(item)), max_size=8))
def test_sound_items_are_kept_as_they_are(items):
    """Whatever is JSON is accepted and comes back equal, from values and from text, as the same content."""
    from_values = read_document(document(items), settings=SETTINGS).batch
    text = json.dumps(document(items), indent=1).encode()
    from_text = read_document(text, settings=SETTINGS).batch
    everything = range(len(items))
    assert json.loads(from_values.items.text(everything)) == items
    assert json.loads(from_text.items.text(everything)) == items


@given(items=st.lists(python_values, max_size=4))
def test_python_values_are_kept_or_refused_never_altered(items):
    """What is accepted prints strictly and reads back equal; everything else is refused with a path."""
    batch, problems = reading(document(items))
    assert (batch is None) == bool(problems)
    assert all(problem.path.startswith("$.batchItems[") for problem in problems)
    if batch is not None:
        assert strictly(batch.items.text(range(len(items)))) == items


@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_not_crashed_on(data):
    """No byte string makes the reader raise anything but a refusal."""
    batch, problems = reading(data)
    assert batch is None
    assert problems


@settings(max_examples=300)
@given(position=st.integers(0, 10_000), byte=st.integers(0, 255), remove=st.booleans())
def test_a_damaged_document_is_accepted_or_refused(position, byte, remove):
    """One changed or missing byte anywhere: a refusal or another sound document, never a crash."""
    text = bytearray(
        json.dumps(document([{"itemId": "a", "n": 1.5}, [1, "x\u00fc"], None], priority="HIGH")).encode()
    )
    position %= len(text)
    if remove:
        del text[position]
    else:
        text[position] = byte
    batch, problems = reading(bytes(text))
    assert (batch is None) == bool(problems)
    if batch is not None:
        strictly(batch.items.text(range(len(batch.items))))
        strictly(batch.envelope)


@given(envelope=st.dictionaries(st.sampled_from([*document([]), "x", "itemSource"]), python_values))
def test_arbitrary_envelopes_are_refused_not_crashed_on(envelope):
    """No Python value in any field makes the reader raise anything but a refusal."""
    batch, problems = reading(document([], **envelope))
    assert (batch is None) == bool(problems)


counts = st.integers(0, 10**12)


@given(
    facts=st.builds(
        ExecutionFacts,
        items=counts,
        succeeded=counts,
        failed=counts,
        retried=counts,
        steals=counts,
        active_ms=counts,
        busy_us=counts,
        checkpoints=counts,
        segments=counts,
        runs=counts,
        slots=counts,
        parallelism=counts,
        recounted_succeeded=counts,
        recounted_failed=counts,
        accepted_digest=anything_text.map(lambda text: text.encode("utf-8", "replace").hex()),
        executed_digest=st.just(""),
        durations_us=st.lists(counts, max_size=5).map(sorted),
        tolerated=st.none() | counts,
    ),
    failure=st.none()
    | st.builds(
        ExecutionFailure,
        code=st.sampled_from(ErrorCode),
        message=anything_text,
        causes=st.lists(
            st.builds(Problem, anything_text, anything_text, st.sampled_from(ErrorCode)), max_size=3
        ),
    ),
)
def test_whatever_response_is_printed_parses_strictly(facts, failure):
    """No NaN, no lone surrogate, no other leak: every response is strict JSON and reads back the same."""
    response = consolidate(facts, ended_at=1705356000.0, failure=failure)
    printed = strictly(response.to_json())
    assert printed == response.to_dict()
    assert parse_response(response.to_json()) == response
    results = response.results
    assert results.items_processed == results.items_successful + results.items_failed
    assert math.isfinite(results.success_rate)
    assert results.success_rate < 1 or not results.items_failed


@given(message=anything_text, problems=st.lists(st.builds(Problem, anything_text, anything_text), max_size=3))
def test_whatever_refusal_is_printed_parses_strictly(message, problems):
    """The same for refusals, whose texts quote hostile documents."""
    strictly(refuse(ErrorCode.EXECUTION_ERROR, message, problems).to_json())
