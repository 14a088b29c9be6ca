"""Who decides a setting: call, document, environment, file, default; and what none may pass."""

import pytest

from everyitem.faces.documents import Overrides, read_document
from everyitem.model.errors import DocumentRefused, UsageError
from everyitem.settings import Origin, Settings

#: setting, override, its value, where the document says it, its value there, settings field, its value
LADDER = [
    ("checkpointInterval", "checkpoint_interval", 11, ("checkpointInterval",), 22, "checkpoint_interval", 33),
    (
        "maxRetryAttempts",
        "max_retries",
        1,
        ("processingConfiguration", "maxRetryAttempts"),
        2,
        "max_retry_attempts",
        4,
    ),
    (
        "timeoutHours",
        "timeout_hours",
        0.5,
        ("processingConfiguration", "timeoutHours"),
        1.5,
        "timeout_hours",
        2.5,
    ),
    (
        "enableCheckpointing",
        None,
        None,
        ("processingConfiguration", "enableCheckpointing"),
        False,
        "enable_checkpointing",
        True,
    ),
    (
        "checkpointIntervalSeconds",
        None,
        None,
        ("processingConfiguration", "checkpointIntervalSeconds"),
        2.0,
        "checkpoint_interval_seconds",
        3.0,
    ),
    (
        "defaultParallelism",
        None,
        None,
        ("processingConfiguration", "defaultParallelism"),
        3,
        "default_parallelism",
        4,
    ),
]


def with_value(document, where, value):
    """The document with a value at a path of keys."""
    *parents, last = where
    target = document
    for key in parents:
        target = target[key]
    target[last] = value
    return document


@pytest.mark.parametrize("rung", LADDER, ids=lambda rung: rung[0])
@pytest.mark.parametrize("operator", [Origin.ENVIRONMENT, Origin.FILE])
def test_each_rung_wins_over_those_below(make, rung, operator):
    """Call over document over operator over default, each with its origin."""
    name, option, said, where, written, field, configured = rung
    operated = Settings(**{field: configured}, origins={field: operator})
    plain = Settings()

    def in_force(document, settings, overrides=None):
        return read_document(document, settings=settings, overrides=overrides).origins[name]

    assert in_force(make(), plain).origin is Origin.DEFAULT
    below = in_force(make(), operated)
    assert (below.value, below.origin) == (configured, operator)
    middle = in_force(with_value(make(), where, written), operated)
    assert (middle.value, middle.origin) == (written, Origin.DOCUMENT)
    if option:
        top = in_force(with_value(make(), where, written), operated, Overrides(**{option: said}))
        assert (top.value, top.origin) == (said, Origin.CLI)


def test_the_document_s_own_checkpoint_interval_wins_over_the_one_in_its_configuration(accept):
    """The optional field of the entity stands above the configuration's key."""
    wishes = {"processor": "p", "checkpointInterval": 5}
    assert accept(processingConfiguration=wishes).batch.configuration.checkpoint_interval == 5
    both = accept(processingConfiguration=wishes, checkpointInterval=9)
    assert both.batch.configuration.checkpoint_interval == 9


def test_null_means_not_given(accept):
    """`null` leaves a setting to those below."""
    wishes = {"processor": "p", "maxRetryAttempts": None, "retry": None, "parameters": None}
    read = accept(
        processingConfiguration=wishes, parallelismLevel=None, priority=None, checkpointInterval=None
    )
    assert read.origins["maxRetryAttempts"].origin is Origin.DEFAULT


def test_zero_retries_are_zero_retries(accept):
    """0 is a value, not an absence."""
    wishes = {"processor": "p", "maxRetryAttempts": 0, "toleratedFailureCount": 0}
    configuration = accept(processingConfiguration=wishes).batch.configuration
    assert configuration.retry.max_retries == 0
    assert configuration.tolerated_failure_count == 0


def test_no_document_raises_the_batch_size(make):
    """`maxBatchSize` of a document can lower the operator's, never raise it."""
    settings = Settings(max_batch_size=1)
    for own in (None, 5):
        with pytest.raises(DocumentRefused, match=r"2 items; the limit is 1 \(maxBatchSize\)"):
            read_document(
                make(processingConfiguration={"processor": "p", "maxBatchSize": own}), settings=settings
            )
    with pytest.raises(DocumentRefused, match="the limit is 1"):
        read_document(
            make(processingConfiguration={"processor": "p", "maxBatchSize": 1}), settings=Settings()
        )


@pytest.mark.parametrize("overrides", [None, Overrides(timeout_hours=9)])
def test_nobody_passes_the_operator_s_timeout(make, overrides):
    """A timeout the operator set is a ceiling for document and call alike, with a warning."""
    settings = Settings(timeout_hours=2, origins={"timeout_hours": Origin.FILE})
    document = make(processingConfiguration={"processor": "p", "timeoutHours": 8})
    read = read_document(document, settings=settings, overrides=overrides)
    assert read.batch.configuration.timeout == 7200
    assert read.origins["timeoutHours"].origin is Origin.FILE
    assert len(read.batch.warnings) == 1


def test_a_default_timeout_is_no_ceiling(accept):
    """Where the operator said nothing a document may ask for more than the default."""
    assert (
        accept(processingConfiguration={"processor": "p", "timeoutHours": 8}).batch.configuration.timeout
        == 28_800
    )


def test_no_node_passes_the_operator_s_memory(make, problems_of):
    """More memory for a node than the operator allows is refused; the limit in force is named."""
    nodes = [{"nodeId": "n", "kind": "process", "memoryMb": 64}]
    found = problems_of(make(allocatedResources={"nodes": nodes}), Settings(max_memory_mb=50))
    assert (
        "64 MB together (memoryMb) is above maxMemoryMb, which is 50" in found["$.allocatedResources.nodes"]
    )


@pytest.mark.parametrize("name", ["maxMemoryMb", "maxBatchSize"])
def test_a_limit_above_the_operator_s_is_said_in_the_document_s_words(accept, name):
    """The operator's holds, and the warning calls it by its documented name."""
    settings = Settings(max_memory_mb=50, max_batch_size=50)
    read = accept(settings, processingConfiguration={"processor": "p", name: 99.0})
    assert read.origins[name].value == 50
    assert [str(warning) for warning in read.batch.warnings] == [
        f"$.processingConfiguration.{name}: 99 is above the operator's {name} of 50; that one holds"
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"parallelism": 0},
        {"parallelism": True},
        {"checkpoint_interval": 0},
        {"checkpoint_interval": 2.5},
        {"max_retries": -1},
        {"timeout_hours": 0},
        {"timeout_hours": float("nan")},
        {"timeout_hours": "4"},
        {"nodes": "dask"},
        {"nodes": "gpu"},
    ],
    ids=str,
)
def test_unusable_options_are_usage_errors(wrong):
    """A call's own mistakes are said by name before anything is read."""
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Overrides(**wrong)
