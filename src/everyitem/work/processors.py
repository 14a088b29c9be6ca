"""Item processors: the user's functions, registered under plain names.

Only the operator's code names code: a file or module is loaded because the command line, the settings or
an import said so, and a batch document merely picks one of the names registered by then.
"""

import difflib
import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NoReturn, TypeVar

import msgspec

from everyitem.model.errors import EveryitemError, UnknownProcessor, UsageError
from everyitem.work.assignment import OriginKind, ProcessorOrigin
from everyitem.work.functions import awaitable, plain_function, why_unusable
from everyitem.work.texts import is_storable

#: What modules loaded by path are called in `sys.modules`; keeps them apart from importable ones.
_FILE_PREFIX = "_everyitem_file_"

Function = TypeVar("Function", bound=Callable[..., Any])


class ItemProcessor(msgspec.Struct, frozen=True, kw_only=True):
    """One registered function with everything a node must know to call it.

    `function` takes `(item, context)`, or `(items, context)` where `chunk_size` is set.
    """

    name: str
    function: Callable[..., Any]
    is_async: bool
    origin: ProcessorOrigin
    #: Qualified name within its origin.
    qualname: str
    #: Path of the source file as Python recorded it; need not exist (notebooks).
    source: str
    #: Most items per call of a chunk processor, None for a processor of single items.
    chunk_size: int | None = None
    #: Once per worker process, before the first and after the last item; may be `async def`.
    setup: Callable[[], Any] | None = None
    teardown: Callable[[], Any] | None = None
    #: Numbers with a fraction reach the function as `decimal.Decimal`.
    decimals: bool = False

    @property
    def code_digest(self) -> str:
        """SHA-256 (hex) of the code: the source file's bytes, else (notebooks) the function's bytecode."""
        digest = hashlib.sha256()
        try:
            digest.update(Path(self.source).read_bytes())
        except OSError:
            code = getattr(plain_function(self.function), "__code__", None)
            for part in _code_parts(code) if code else (self.qualname.encode(),):
                digest.update(part)
        return digest.hexdigest()

    @property
    def place(self) -> str:
        """Where it was defined, for messages."""
        return f"{self.qualname} in {self.source}"


def item_processor(
    name: str,
    *,
    setup: Callable[[], Any] | None = None,
    teardown: Callable[[], Any] | None = None,
    decimals: bool = False,
) -> Callable[[Function], Function]:
    """Register a function `(item, context) -> result` as the item processor `name`.

    The function may be `async def` and stays usable as it is. `setup` and `teardown` take no arguments
    and run once per worker process. With `decimals` numbers with a fraction arrive as `decimal.Decimal`.
    Raises `UsageError` when the name is taken by a function defined elsewhere.
    """
    _check_name("item_processor", name)

    def decorate(function: Function) -> Function:
        _registry.add(_describe(name, function, None, setup, teardown, decimals))
        return function

    return decorate


def chunk_processor(
    name: str,
    *,
    size: int,
    setup: Callable[[], Any] | None = None,
    teardown: Callable[[], Any] | None = None,
    decimals: bool = False,
) -> Callable[[Function], Function]:
    """Register a function `(items, context) -> list` that processes up to `size` items in one call.

    It returns one result, or one exception instance, per item, in the order of the items.
    Otherwise like `item_processor`.
    """
    _check_name("chunk_processor", name)
    if type(size) is not int or size < 1:
        raise UsageError(f"chunk_processor({name!r}): size must be a whole number from 1 on, not {size!r}")

    def decorate(function: Function) -> Function:
        _registry.add(_describe(name, function, size, setup, teardown, decimals))
        return function

    return decorate


def find_processor(name: str) -> ItemProcessor:
    """The item processor registered under `name`; raises `UnknownProcessor` with the nearest names."""
    return _registry.find(name)


def registered_processors() -> list[ItemProcessor]:
    """Everything registered in this process, by name."""
    return _registry.all()


def load_processors(where: str | os.PathLike[str]) -> list[ItemProcessor]:
    """Load FILE.py or import MODULE and return the item processors it defines.

    Loading the same unchanged file twice does nothing. Raises `UsageError` when there is no such file or
    module, when it does not load, or when it registers nothing.
    """
    text = os.fspath(where)
    if text.endswith(".py") or os.sep in text:
        path = os.path.realpath(text)
        _load_file(path)
        found = _registry.defined_in(path)
    else:
        module = _load_module(text)
        package = text + "."
        found = [
            one
            for one in _registry.all()
            if one.origin.kind is OriginKind.MODULE
            and (one.origin.where == text or one.origin.where.startswith(package))
        ] or [one for one in _registry.all() if one.function in vars(module).values()]
    if not found:
        raise UsageError(
            f'{text} registers no item processor; decorate a function in it with @item_processor("name")'
        )
    return found


def resolve_processor(origin: ProcessorOrigin, name: str, sys_path: Iterable[str] = ()) -> ItemProcessor:
    """In a worker process: load what `origin` names, searching the parent's `sys_path`, and look `name` up.

    Raises `EveryitemError` for functions only the parent process has (`__main__`, notebooks).
    """
    sys.path.extend(entry for entry in sys_path if entry not in sys.path)
    match origin.kind:
        case OriginKind.FILE:
            _load_file(origin.where)
        case OriginKind.MODULE:
            _load_module(origin.where)
        case OriginKind.LOCAL:
            refuse_local(name, origin)
    return find_processor(name)


def refuse_local(name: str, origin: ProcessorOrigin) -> None:
    """Raise `EveryitemError`, saying what to do, if other processes cannot find this item processor."""
    if origin.kind is OriginKind.LOCAL:
        raise EveryitemError(
            f"item processor {name!r} is defined in {origin.where}, which worker processes cannot import; "
            'move it to a file of its own and pass that with processors=["FILE.py"] (or --processors), '
            "or run on thread or async nodes"
        )


def check_code(processor: ItemProcessor, digest: str) -> None:
    """Raise `EveryitemError` unless the code has this `code_digest`; an empty one fits everything."""
    if digest and processor.code_digest != digest:
        raise EveryitemError(
            f"item processor {processor.name!r} differs from the coordinator's: {processor.source} here has "
            f"the SHA-256 {processor.code_digest[:12]}…, there it is {digest[:12]}…; install the same "
            "version of it on all workers, or pass it as FILE.py, which is sent along"
        )


class _Registry:
    """Names and what they stand for. One per process, since decorators run wherever code is imported."""

    def __init__(self) -> None:
        self._by_name: dict[str, ItemProcessor] = {}

    def add(self, new: ItemProcessor) -> None:
        old = self._by_name.get(new.name)
        # Loading a file or module again, or running a notebook cell again, replaces what it defined.
        same_place = old is not None and (
            (old.source, old.qualname) == (new.source, new.qualname)
            or old.origin.kind is new.origin.kind is OriginKind.LOCAL
        )
        if old is not None and not same_place:
            raise UsageError(
                f"two item processors are called {new.name!r}: {old.place} and {new.place}; rename one"
            )
        self._by_name[new.name] = new

    def find(self, name: str) -> ItemProcessor:
        found = self._by_name.get(name)
        if found is not None:
            return found
        if not self._by_name:
            raise UnknownProcessor(
                f"no item processor {name!r}: none is registered; name the file or module that defines it "
                "with --processors or processors="
            )
        near = difflib.get_close_matches(name, self._by_name, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UnknownProcessor(
            f"no item processor {name!r} is registered; {hint}registered: {', '.join(sorted(self._by_name))}"
        )

    def all(self) -> list[ItemProcessor]:
        return [self._by_name[name] for name in sorted(self._by_name)]

    def defined_in(self, path: str) -> list[ItemProcessor]:
        return [one for one in self.all() if os.path.realpath(one.source) == path]

    def forget(self, path: str) -> None:
        """Drop what an older version of this file registered."""
        for one in self.defined_in(path):
            del self._by_name[one.name]


_registry = _Registry()


def _check_name(decorator: str, name: object) -> None:
    if not isinstance(name, str) or not name:
        raise UsageError(f'@{decorator} needs a name: write @{decorator}("my-processor")')


def _describe(
    name: str,
    function: Callable[..., Any],
    chunk_size: int | None,
    setup: Callable[[], Any] | None,
    teardown: Callable[[], Any] | None,
    decimals: bool,
) -> ItemProcessor:
    if reason := why_unusable(function):
        raise UsageError(f"item processor {name!r} {reason}")
    for what, hook in (("setup", setup), ("teardown", teardown)):
        if hook is not None and not callable(hook):
            raise UsageError(f"item processor {name!r}: {what} must be a function, not {type(hook).__name__}")
    plain = plain_function(function)
    code: CodeType | None = getattr(plain, "__code__", None)
    qualname = getattr(plain, "__qualname__", type(function).__qualname__)
    module = getattr(plain, "__module__", None) or "__main__"
    source = code.co_filename if code else getattr(sys.modules.get(module), "__file__", None) or module
    called, is_async = awaitable(function)
    return ItemProcessor(
        name=name,
        function=called,
        is_async=is_async,
        origin=_origin_of(module, qualname, source),
        qualname=qualname,
        source=source,
        chunk_size=chunk_size,
        setup=setup,
        teardown=teardown,
        decimals=decimals,
    )


def _origin_of(module: str, qualname: str, source: str) -> ProcessorOrigin:
    if module.startswith(_FILE_PREFIX):
        return ProcessorOrigin(OriginKind.FILE, os.path.realpath(source))
    spec = getattr(sys.modules.get(module), "__spec__", None)
    # A function made inside another one after its module was imported is not there for a fresh import.
    made_later = "<locals>" in qualname and not getattr(spec, "_initializing", False)
    if module == "__main__" or spec is None or made_later:
        return ProcessorOrigin(OriginKind.LOCAL, source)
    return ProcessorOrigin(OriginKind.MODULE, module)


def _code_parts(code: CodeType) -> Iterable[bytes]:
    """What distinguishes one function body from another; line numbers and addresses left out."""
    yield code.co_code
    yield repr((code.co_name, code.co_names, code.co_varnames)).encode()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code_parts(constant)
        else:
            yield repr(constant).encode()


def _load_file(path: str) -> ModuleType:
    if not is_storable(path):
        # workers and the record are told where the file is
        raise UsageError(f"item processors cannot be loaded from {path!r}: the path is not UTF-8; rename it")
    name = f"{_FILE_PREFIX}{hashlib.sha256(path.encode()).hexdigest()[:12]}"
    try:
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"cannot read the item processors' file {path}: {error.strerror}") from error
    loaded = sys.modules.get(name)
    if loaded is not None and vars(loaded).get("__everyitem_digest__") in (digest, None):
        return loaded
    folder = str(Path(path).parent)
    if folder not in sys.path:
        # at the end, so that helper modules beside the file are found and installed ones never shadowed
        sys.path.append(folder)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    _registry.forget(path)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        _raise_unloadable(path, error)
    vars(module)["__everyitem_digest__"] = digest
    return module


def _load_module(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"{name!r} is neither a file ending in .py nor the name of a module")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise UsageError(
                f"there is no module {name!r} on the search path; give a FILE.py, or install the module"
            ) from error
        _raise_unloadable(name, error)
    except BaseException as error:
        _raise_unloadable(name, error)


def _raise_unloadable(where: str, error: BaseException) -> NoReturn:
    """Say in one message what went wrong in the user's file, and on which line."""
    if isinstance(error, (EveryitemError, KeyboardInterrupt)):
        raise error
    line = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if not frame.filename.startswith("<frozen"):
            line = f" at {frame.filename}, line {frame.lineno}"
    if isinstance(error, SyntaxError):
        line = f" at {error.filename}, line {error.lineno}"
    raise UsageError(f"{where} does not load: {type(error).__name__}: {error}{line}") from error
