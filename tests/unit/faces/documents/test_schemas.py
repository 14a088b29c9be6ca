"""The printed JSON Schemas."""

import msgspec
import pytest

from everyitem.faces.documents import schemas


@pytest.mark.parametrize("build", [schemas.batch_schema, schemas.response_schema, schemas.event_schema])
def test_schemas_are_strict_json_with_every_reference_defined(build):
    """A schema prints as JSON and refers to nothing it does not define."""
    schema = build()
    assert msgspec.json.decode(msgspec.json.encode(schema)) == schema
    references = set()

    def walk(part):
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                references.add(part["$ref"].removeprefix("#/$defs/"))
            for member in part.values():
                walk(member)
        elif isinstance(part, list):
            for member in part:
                walk(member)

    walk(schema)
    assert references <= set(schema["$defs"])


def test_the_batch_schema_asks_for_the_required_fields():
    """The specification's required fields are required."""
    assert schemas.batch_schema()["required"] == [
        "batchId",
        "batchItems",
        "processingConfiguration",
        "allocatedResources",
        "executionPlan",
    ]


def test_bounds_of_whole_numbers_stand_in_the_schema():
    """An editor that knows the schema says what the reader would say."""
    schema = schemas.batch_schema()
    whole, _ = schema["properties"]["checkpointInterval"]["anyOf"]
    assert whole == {"type": "integer", "minimum": 1, "maximum": 1_000_000_000}
