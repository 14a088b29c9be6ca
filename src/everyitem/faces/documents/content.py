"""The content digest: what makes two documents the same batch (contract section 3)."""

import hashlib
import json

from everyitem.model.configuration import ProcessingConfiguration


def content_digest(items_digest: str, configuration: ProcessingConfiguration) -> str:
    """SHA-256 (hex) over the items' digest, the processor's name and its parameters.

    Parameters count by value: order of keys and white space make no difference. Integers keep all digits.
    """
    parameters = json.dumps(
        configuration.parameters, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    # one JSON array, so that no two triples run together to the same text
    text = json.dumps([items_digest, configuration.processor, parameters], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
