"""Batch documents: read into the model, completed, refused with every reason, and described by schemas.

Importing this package loads pydantic; faces import it when they have a document to read.
"""

from everyitem.faces.documents.overrides import Overrides
from everyitem.faces.documents.reader import BatchInput, ReadDocument, read_document, restore_document

__all__ = ["BatchInput", "Overrides", "ReadDocument", "read_document", "restore_document"]
