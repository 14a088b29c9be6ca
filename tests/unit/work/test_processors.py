"""The registry: plain names, found by whoever imports the same file or module."""

import functools
import importlib
import sys
import uuid

import pytest

from everyitem.model.errors import EveryitemError, UnknownProcessor, UsageError
from everyitem.work.assignment import OriginKind, ProcessorOrigin
from everyitem.work.processors import (
    chunk_processor,
    find_processor,
    item_processor,
    load_processors,
    resolve_processor,
)


@pytest.fixture
def name():
    """A name no other test uses: the registry lasts as long as the process."""
    return f"p-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def user_file(tmp_path):
    """Write a user's FILE.py and return its path."""

    def write(text, file="processors.py"):
        path = tmp_path / file
        path.write_text("from everyitem import item_processor, chunk_processor\n" + text)
        return path

    return write


def source(name, body="return item"):
    return f"@item_processor({name!r})\ndef work(item, context):\n    {body}\n"


def test_a_decorated_function_stays_itself(name):
    """The decorator registers and returns the function."""

    def work(item, context):
        return item

    assert item_processor(name)(work) is work
    found = find_processor(name)
    assert (found.function, found.is_async, found.chunk_size) == (work, False, None)
    assert found.origin.kind is OriginKind.LOCAL


def test_coroutine_functions_are_recognized_behind_wrappers(name):
    """`async def` counts behind partials and callable objects too."""

    async def work(item, context, extra=None):
        return item

    class Callable:
        async def __call__(self, item, context):
            return item

    for number, function in enumerate((work, functools.partial(work, extra=1), Callable())):
        item_processor(f"{name}-{number}")(function)
        assert find_processor(f"{name}-{number}").is_async


def test_a_file_is_loaded_by_path_and_found_again(user_file, name):
    """Loading FILE.py registers its functions with a file origin; a second load is the same load."""
    path = user_file(source(name))
    [first] = load_processors(path)
    assert first.origin == ProcessorOrigin(OriginKind.FILE, str(path))
    assert load_processors(str(path))[0].function is first.function
    assert resolve_processor(first.origin, name).function is first.function


def test_a_changed_file_is_loaded_anew_with_another_digest(user_file, name):
    """The code digest follows the file's bytes."""
    path = user_file(source(name))
    before = load_processors(path)[0].code_digest
    user_file(source(name, "return [item]"))
    [after] = load_processors(path)
    assert after.code_digest != before
    assert after.function(1, None) == [1]


def test_a_file_finds_the_helpers_beside_it(user_file, name, tmp_path):
    """Modules next to FILE.py can be imported by it."""
    helper = f"helper_{name.replace('-', '_')}"
    (tmp_path / f"{helper}.py").write_text("VALUE = 7\n")
    path = user_file(f"from {helper} import VALUE\n" + source(name, "return VALUE"))
    assert load_processors(path)[0].function(None, None) == 7


def test_a_module_is_imported_by_name(user_file, name, tmp_path, monkeypatch):
    """MODULE works like FILE.py and gives a module origin."""
    module = f"module_{name.replace('-', '_')}"
    user_file(source(name), f"{module}.py")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    [found] = load_processors(module)
    assert found.origin == ProcessorOrigin(OriginKind.MODULE, module)
    assert resolve_processor(found.origin, name, [str(tmp_path)]).name == name


def test_the_same_name_in_two_files_is_refused(user_file, name):
    """The message names both places."""
    load_processors(user_file(source(name), "one.py"))
    with pytest.raises(UsageError, match=r"two item processors are called .*one\.py.*two\.py"):
        load_processors(user_file(source(name), "two.py"))


def test_an_unknown_name_suggests_the_nearest(name):
    """A typing error is answered with the name that was meant."""
    item_processor(f"{name}-position")(lambda item, context: item)
    with pytest.raises(UnknownProcessor, match=f"did you mean '{name}-position'"):
        find_processor(f"{name}-positon")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def broken(:\n", "does not load: SyntaxError"),
        ("1 / 0\n", r"does not load: ZeroDivisionError: .* line 2"),
        ("import nowhere_to_be_found\n", "ModuleNotFoundError"),
        ("", "registers no item processor"),
        ("raise SystemExit(1)\n", "does not load: SystemExit"),
        ("@item_processor\ndef work(item, context): ...\n", r"needs a name"),
        ("@chunk_processor('c', size=0)\ndef work(items, context): ...\n", "size must be"),
    ],
)
def test_a_file_that_does_not_load_says_why(user_file, text, message):
    """The message names the file, the error and the line."""
    path = user_file(text)
    with pytest.raises(UsageError, match=message):
        load_processors(path)


@pytest.mark.parametrize("where", ["/no/such/file.py", "no_such_module_anywhere", "os:system", "a b"])
def test_what_is_not_there_is_a_usage_error(where):
    """No such file or module; code is never named by anything but a file or module."""
    with pytest.raises(UsageError):
        load_processors(where)


def test_local_functions_are_refused_in_other_processes(name):
    """The message says what to do instead."""
    item_processor(name)(lambda item, context: item)
    with pytest.raises(EveryitemError, match="move it to a file of its own"):
        resolve_processor(find_processor(name).origin, name)


def test_bytecode_stands_in_for_a_missing_source(name):
    """A notebook's function has a digest that follows its code."""

    def define(body):
        space = {"item_processor": item_processor, "__name__": "__main__"}
        exec(compile(source(name, body), "<cell>", "exec"), space)
        return find_processor(name).code_digest

    one, two = define("return item"), define("return [item]")
    assert one != two
    assert define("return item") == one


@pytest.mark.parametrize("hook", ["setup", "teardown"])
def test_a_hook_that_is_no_function_is_refused_at_once(name, hook):
    """It would end every worker there is."""
    with pytest.raises(UsageError, match=f"{hook} must be a function, not int"):
        item_processor(name, **{hook: 5})(lambda item, context: item)


def test_a_function_that_cannot_be_called_is_refused_at_once(name):
    """It would fail every item."""
    with pytest.raises(UsageError, match=f"{name!r} is called with two arguments"):
        item_processor(name)(lambda item: item)


def test_chunk_processors_carry_their_size(name):
    """The size is part of the registration."""
    chunk_processor(name, size=5)(lambda items, context: items)
    assert find_processor(name).chunk_size == 5


def test_loading_imports_nothing_a_worker_does_not_need(tmp_path):
    """The worker side stays free of pydantic, asyncio and logging."""
    import subprocess

    code = (
        "import sys, everyitem.work.loop\n"
        "print([name for name in ('pydantic', 'asyncio', 'logging', 'typer') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
