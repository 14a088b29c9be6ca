"""The started-items file: what a run notes for the one that comes after its death."""

from everyitem.adapters.started.file import Section, StartedFile
from everyitem.adapters.started.place import started_path

__all__ = ["Section", "StartedFile", "started_path"]
