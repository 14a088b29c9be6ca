"""Reading documents in every form they come in."""

import io
import json
from types import SimpleNamespace

import pytest

from everyitem.adapters.sources import open_source
from everyitem.faces.documents import Overrides, read_document, restore_document
from everyitem.model.batch import ProcessingBatch
from everyitem.model.configuration import ErrorStrategy, Priority, ProcessingConfiguration
from everyitem.model.errors import DocumentRefused, ErrorCode, UnknownProcessor, UsageError
from everyitem.model.items import InMemoryItems, item_id_of
from everyitem.model.plan import ExecutionPlan
from everyitem.model.resources import AllocatedResources, NodeKind, NodeSpec
from everyitem.ports.source import SourceAway, SourceUnavailable
from everyitem.settings import Origin, Settings

SETTINGS = Settings()


def test_path_bytes_dict_and_standard_input_are_the_same_batch(make, tmp_path, monkeypatch):
    """However a document comes, its content and its items are the same."""
    text = json.dumps(make(), indent=2).encode()
    (tmp_path / "batch.json").write_bytes(text)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(text)))
    given = [make(), text, bytearray(text), tmp_path / "batch.json", str(tmp_path / "batch.json"), "-"]
    batches = [read_document(one, settings=SETTINGS).batch for one in given]
    assert len({batch.content for batch in batches}) == 1
    assert {batch.items.digest for batch in batches} == {batches[0].items.digest}


def test_a_missing_file_is_a_usage_error(tmp_path):
    """A path nobody can open is the caller's mistake, not the document's."""
    with pytest.raises(UsageError, match=r"none\.json: No such file"):
        read_document(tmp_path / "none.json", settings=SETTINGS)


def test_something_else_is_a_usage_error():
    """Only paths, dicts, bytes and batches are batches."""
    with pytest.raises(UsageError, match="not int"):
        read_document(5, settings=SETTINGS)


def test_the_caller_s_dict_is_left_as_it_was(make):
    """Reading changes nothing the caller holds."""
    given = make()
    before = json.dumps(given)
    read_document(given, settings=SETTINGS)
    assert json.dumps(given) == before


def test_items_keep_every_digit():
    """Numbers and escapes of items stay as they were written; only white space goes."""
    text = (
        b'{"batchId":"b", "batchItems": [ {"v": 12.50, "w" : 1E2}, 123456789012345678901234567890 ],'
        b'"processingConfiguration":{"processor":"p"},"allocatedResources":{},"executionPlan":{}}'
    )
    items = read_document(text, settings=SETTINGS).batch.items
    assert items.text(range(2)) == b'[{"v":12.50,"w":1E2},123456789012345678901234567890]'


def test_the_envelope_is_kept_as_it_was_given():
    """Unknown fields and digits of the envelope stay; only the items leave it."""
    text = (
        b'{ "batchId":"b","x":{"rate":1.10},"batchItems":[1, 2 ],"processingConfiguration":{"processor":"p"},'
        b'"allocatedResources":{},"executionPlan":{} }'
    )
    assert read_document(text, settings=SETTINGS).batch.envelope == text.replace(b"[1, 2 ]", b"[]")


def test_the_items_are_found_wherever_their_name_stands():
    """A nested or quoted `batchItems` is not mistaken for the items."""
    text = (
        b'{"a":"\\"batchItems\\":[9]","b":{"batchItems":[7,8]},"batchItems":[7,8],"c":[{"batchItems":[]}],'
        b'"batchId":"b","processingConfiguration":{"processor":"p"},"allocatedResources":{},"executionPlan":{}}'
    )
    batch = read_document(text, settings=SETTINGS).batch
    assert len(batch.items) == 2
    assert b'"b":{"batchItems":[7,8]},"batchItems":[],' in batch.envelope


def test_the_spelling_of_a_key_does_not_matter():
    """Escaped keys are the keys they spell."""
    text = (
        b'{"batch\\u0049tems":[{"item\\u0049d":"a"}],"batchId":"b","processingConfiguration":{"processor":"p"},'
        b'"allocatedResources":{},"executionPlan":{}}'
    )
    items = read_document(text, settings=SETTINGS).batch.items
    assert items.named
    assert item_id_of(items.text(range(1))[1:-1], 0) == "a"


def test_content_is_items_processor_and_parameters(make, accept):
    """Content differs with items, processor and parameters, and with nothing else."""
    content = accept().batch.content
    same = [
        accept(priority="HIGH", checkpointInterval=5, batchId="other"),
        accept(processingConfiguration={"processor": "p", "maxRetryAttempts": 0, "parameters": {}}),
    ]
    assert {one.batch.content for one in same} == {content}
    others = [
        accept(batchItems=[]),
        accept(processingConfiguration={"processor": "q"}),
        accept(processingConfiguration={"processor": "p", "parameters": {"a": 1}}),
    ]
    assert len({content, *(one.batch.content for one in others)}) == 4


def test_order_of_parameters_makes_no_other_content(accept):
    """Parameters count by value, not by the order of their keys."""
    one = accept(processingConfiguration={"processor": "p", "parameters": {"a": 1, "b": {"c": 2, "d": 3}}})
    two = accept(processingConfiguration={"processor": "p", "parameters": {"b": {"d": 3, "c": 2}, "a": 1}})
    assert one.batch.content == two.batch.content


def test_the_defaults_of_the_contract_are_filled_in(accept):
    """An almost empty document runs under the specification's defaults."""
    batch = accept().batch
    configuration = batch.configuration
    assert (configuration.retry.max_retries, configuration.retry.initial_delay) == (3, 0.2)
    assert (configuration.checkpoint_interval, configuration.checkpoint_interval_seconds) == (1000, 30.0)
    assert (configuration.timeout, configuration.parallelism, configuration.drain) == (14_400, 5, 30.0)
    assert configuration.strategy is ErrorStrategy.CONTINUE_ON_ERROR
    assert configuration.item_timeout is None
    assert batch.priority is Priority.NORMAL
    assert batch.resources.nodes == (NodeSpec(node_id="local", kind=NodeKind.THREAD, slots=10),)
    assert batch.warnings == ()


def test_milliseconds_become_seconds(accept):
    """Times of the document are milliseconds, inside they are seconds."""
    wishes = {"processor": "p", "itemTimeoutMs": 250, "retry": {"initialDelayMs": 5, "maxDelayMs": 1500}}
    configuration = accept(processingConfiguration=wishes).batch.configuration
    assert configuration.item_timeout == 0.25
    assert (configuration.retry.initial_delay, configuration.retry.max_delay) == (0.005, 1.5)


def test_an_empty_batch_is_a_batch(accept):
    """No items are fine."""
    assert len(accept(batchItems=[]).batch.items) == 0


PROCESSOR = "$.processingConfiguration.processor"


def nobody_knows(name):
    """A registry without item processors."""
    raise UnknownProcessor(f"no item processor {name!r}; did you mean 'q'?")


def test_an_unknown_processor_alone_is_an_execution_error(make):
    """Contract section 2: the document is refused, at the processor's path, with the nearest name."""
    with pytest.raises(DocumentRefused) as refused:
        read_document(make(), settings=SETTINGS, is_async=nobody_knows)
    assert [str(problem) for problem in refused.value.problems] == [
        f"{PROCESSOR}: no item processor 'p'; did you mean 'q'?"
    ]
    assert refused.value.refusal_code is ErrorCode.EXECUTION_ERROR


def test_an_unknown_processor_is_said_beside_every_other_problem(make, problems_of):
    """Faults of items, of the envelope and of the configuration itself hide it as little as it hides them."""
    configuration = {"processor": "p", "timeoutHours": -1}
    found = problems_of(
        make(batchItems=[{"itemId": 1}], processingConfiguration=configuration, batchId=""),
        is_async=nobody_knows,
    )
    assert set(found) == {
        PROCESSOR,
        "$.batchItems[0].itemId",
        "$.processingConfiguration.timeoutHours",
        "$.batchId",
    }
    with pytest.raises(DocumentRefused) as refused:
        read_document(make(batchItems=[{"itemId": 1}]), settings=SETTINGS, is_async=nobody_knows)
    assert refused.value.refusal_code is ErrorCode.EXECUTION_ERROR


@pytest.mark.parametrize(
    "configuration", [{}, {"processor": None}, {"processor": ""}, {"processor": "\ud800"}, [], None]
)
def test_no_name_is_asked_for_that_the_document_does_not_give(make, problems_of, configuration):
    """Where the name itself is missing or unusable only that is said."""
    found = problems_of(make(processingConfiguration=configuration), is_async=nobody_knows)
    assert len(found) == 1
    assert "no item processor" not in str(found)


def test_a_stored_execution_whose_processor_is_gone_is_refused(make):
    """A resume without the processor's file says which one is missing."""
    batch = read_document(make(), settings=SETTINGS).batch
    with pytest.raises(DocumentRefused, match="no item processor 'p'"):
        restore_document(batch.envelope, batch.items, settings=SETTINGS, is_async=nobody_knows)


def test_a_document_over_the_size_limit_is_not_read(make):
    """The operator's limit on a document's length holds before anything is parsed."""
    with pytest.raises(DocumentRefused, match="longer than 1,024 bytes"):
        read_document(b" " * 1025, settings=Settings(max_document_bytes=1024))


def test_items_override_takes_the_place_of_the_items(make, tmp_path):
    """`--items` wins over inline items, with a warning; the kind follows the file's name."""
    (tmp_path / "items.csv").write_text("itemId,amount\na,1\nb,2\n")
    read = read_document(
        make(),
        settings=SETTINGS,
        overrides=Overrides(items=str(tmp_path / "items.csv")),
        open_source=open_source,
    )
    assert read.batch.items.text(range(2)) == b'[{"itemId":"a","amount":"1"},{"itemId":"b","amount":"2"}]'
    assert [warning.path for warning in read.batch.warnings] == ["$.batchItems"]


def test_a_missing_items_override_is_a_usage_error(make):
    """`--items` naming no file is the caller's mistake."""
    with pytest.raises(UsageError, match=r"none\.jsonl"):
        read_document(
            make(), settings=SETTINGS, overrides=Overrides(items="none.jsonl"), open_source=open_source
        )


def test_a_source_is_found_beside_its_document(make, tmp_path):
    """A relative reference is meant from the document's folder."""
    (tmp_path / "items.jsonl").write_text('{"itemId": "a"}\n\n 7 \n')
    document = make(batchItems=[], itemSource={"kind": "jsonl", "reference": "items.jsonl"})
    (tmp_path / "batch.json").write_text(json.dumps(document))
    read = read_document(tmp_path / "batch.json", settings=SETTINGS, open_source=open_source)
    assert read.batch.items.text(range(2)) == b'[{"itemId":"a"},7]'
    assert json.loads(read.source) == {"kind": "jsonl", "reference": "items.jsonl"}


def test_a_missing_source_is_a_resource_error(make):
    """What the document points at and is not there is a resource that is not there."""
    document = make(batchItems=[], itemSource={"kind": "jsonl", "reference": "/none/items.jsonl"})
    with pytest.raises(DocumentRefused) as refused:
        read_document(document, settings=SETTINGS, open_source=open_source)
    assert refused.value.refusal_code is ErrorCode.RESOURCE_ERROR
    assert [problem.path for problem in refused.value.problems] == ["$.itemSource.reference"]


def test_a_source_that_is_described_wrongly_is_the_documents_fault(make, tmp_path, problems_of):
    """Its file is there; what is wrong stands in the document, at that place."""
    (tmp_path / "items.csv").write_text("a\n1\n")
    source = {"kind": "csv", "reference": str(tmp_path / "items.csv"), "delimiter": "ab"}
    with pytest.raises(DocumentRefused) as refused:
        read_document(make(batchItems=[], itemSource=source), settings=SETTINGS, open_source=open_source)
    assert refused.value.refusal_code is ErrorCode.EXECUTION_ERROR
    assert [str(problem) for problem in refused.value.problems] == [
        "$.itemSource.delimiter: must be one character other than a quote or a line end"
    ]


def test_where_json_breaks_off_is_said_once(problems_of):
    """Python's own message may end in the word ours goes on with."""
    [problem] = problems_of(b'{"batchId": "a\x01"}').values()
    assert problem == "not valid JSON: Invalid control character at line 1, column 15 (byte 14)"


def test_items_and_a_source_exclude_each_other(make, problems_of):
    """`batchItems` must be empty where a source is named."""
    document = make(itemSource={"kind": "csv", "reference": "items.csv"})
    assert list(problems_of(document, open_source=open_source)) == ["$.batchItems"]


def test_a_stored_execution_is_the_same_batch_again(make):
    """Envelope and items rebuild what was read."""
    read = read_document(make(priority="HIGH", checkpointInterval=7), settings=SETTINGS)
    again = restore_document(read.batch.envelope, read.batch.items, settings=SETTINGS)
    assert again.batch == read.batch


def test_what_the_starting_call_said_holds_for_a_recovery(make):
    """Options of the call that started an execution are recorded; a later call's own options win."""
    said = Overrides(parallelism=2, nodes="process", checkpoint_interval=7, max_retries=1, timeout_hours=0.5)
    read = read_document(make(), settings=SETTINGS, overrides=said)
    again = restore_document(
        read.batch.envelope, read.batch.items, settings=SETTINGS, recorded_settings=read.settings_json
    )
    assert again.batch == read.batch
    changed = restore_document(
        read.batch.envelope,
        read.batch.items,
        settings=SETTINGS,
        recorded_settings=read.settings_json,
        overrides=Overrides(max_retries=5),
    )
    assert changed.batch.configuration.retry.max_retries == 5
    assert changed.batch.configuration.checkpoint_interval == 7


def test_settings_of_the_operator_apply_afresh_on_resume(make):
    """What was a default at the start follows the settings now in force."""
    read = read_document(make(), settings=SETTINGS)
    again = restore_document(
        read.batch.envelope,
        read.batch.items,
        settings=Settings(checkpoint_interval=50, origins={"checkpoint_interval": Origin.FILE}),
        recorded_settings=read.settings_json,
    )
    assert again.batch.configuration.checkpoint_interval == 50


def test_a_batch_made_by_hand_is_written_down(make):
    """A ProcessingBatch built in Python reads back to its own values."""
    by_hand = ProcessingBatch(
        batch_id="mine",
        items=InMemoryItems(b"[1,2,3]", named=False),
        configuration=ProcessingConfiguration(processor="p", parameters={"a": 1}, parallelism=2, drain=30.0),
        resources=AllocatedResources(nodes=(NodeSpec(node_id="n", kind=NodeKind.ASYNC, slots=4),)),
        plan=ExecutionPlan(partition_count=3),
        priority=Priority.LOW,
    )
    batch = read_document(by_hand, settings=SETTINGS).batch
    assert (batch.batch_id, batch.configuration, batch.resources) == (
        "mine",
        by_hand.configuration,
        by_hand.resources,
    )
    assert (batch.plan, batch.priority, batch.items) == (by_hand.plan, by_hand.priority, by_hand.items)
    assert read_document(batch, settings=SETTINGS).batch == batch


class AwaySource:
    """A source whose place does not answer."""

    name = "positions"

    def __init__(self, error):
        self._error = error

    def chunks(self):
        raise self._error


@pytest.mark.parametrize(
    ("error", "more", "may_pass"),
    [
        (SourceAway("no answer"), {}, True),
        (SourceUnavailable("no such model"), {}, False),
        (SourceAway("no answer"), {"checkpointInterval": 0}, False),
    ],
)
def test_only_a_source_that_is_away_may_pass(make, error, more, may_pass):
    """Who refuses the document for nothing else knows that it may be handed in again."""
    document = make(batchItems=[], itemSource={"kind": "jsonl", "reference": "x"}, **more)
    with pytest.raises(DocumentRefused) as refused:
        read_document(document, settings=SETTINGS, open_source=lambda _: AwaySource(error))
    assert refused.value.may_pass is may_pass
