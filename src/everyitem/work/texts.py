"""Texts from the user's code, made fit to be kept: they may hold anything, be endless, or fail to appear."""

from collections.abc import Callable

from everyitem.work.secrets import mask


def storable(text: str) -> str:
    """The text with lone surrogates escaped: no encoder takes them (paths that are not UTF-8 have them)."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def is_storable(text: str) -> bool:
    """Whether the text can be encoded as it is; what the shell passes on that is no UTF-8 cannot."""
    return storable(text) == text


def ask(say: Callable[..., str], *arguments: object) -> str:
    """What `say(*arguments)` returns, made storable and without secrets.

    Where it raises (a broken `__str__`), a word on that.
    """
    try:
        # a subclass of `str` might do anything when cut or encoded
        return mask(storable(str.__str__(say(*arguments))))
    except BaseException as error:
        return f"(cannot be shown: {class_name(error)} was raised)"


def class_name(value: object) -> str:
    """The name of the value's class."""
    return name_of(type(value))


def name_of(class_: type) -> str:
    """The name of a class, whatever its metaclass makes of `__name__`."""
    name: str = vars(type)["__name__"].__get__(class_)
    return storable(name)
