"""A file's name is the thing's name: `cells/lstm.py` is `cell="lstm"`.

There is no registry, no decorator and no list to edit. A thing is the one public class of its contract that a
module defines; a module that defines none (an abstract base, a helper) is not in the list.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache
from typing import NamedTuple, TypeVar

from unrolled.errors import UnknownName

T = TypeVar("T")


class NameIn(NamedTuple):
    """Says of an option that it names a thing: `cell: Annotated[str, NameIn("unrolled.cells", Cell, "cell")]`."""

    package: str
    contract: type
    kind: str


class Trained(NamedTuple):
    """Says of an option, of `prepare` or of how to decide, that it names folders of trained models, which are loaded
    before it is handed on: `encoder: Annotated[tuple[str, ...], Trained()]`.
    """


@cache
def modules(package: str) -> tuple[str, ...]:
    """The names of the public modules directly inside a package, sorted."""
    path = importlib.import_module(package).__path__
    return tuple(sorted(m.name for m in pkgutil.iter_modules(path) if not m.name.startswith("_")))


def _defined_in(package: str, name: str, contract: type[T]) -> type[T] | None:
    module = importlib.import_module(f"{package}.{name}")
    found = [
        value
        for key, value in vars(module).items()
        if not key.startswith("_")
        and inspect.isclass(value)
        and value.__module__ == module.__name__
        and issubclass(value, contract)
        and not inspect.isabstract(value)
    ]
    if len(found) > 1:
        raise TypeError(f"{module.__name__} defines {len(found)} classes of {contract.__name__}: one a file")
    return found[0] if found else None


def names(package: str, contract: type) -> tuple[str, ...]:
    """The names of all things of a contract in a package, sorted.

    >>> from unrolled.cells.base import Cell
    >>> "lstm" in names("unrolled.cells", Cell)
    True
    """
    return tuple(name for name in modules(package) if _defined_in(package, name, contract) is not None)


def find(package: str, name: str, contract: type[T], kind: str) -> type[T]:
    """The class that the module `name` of `package` defines.

    Raises `UnknownName`, with the nearest name, where there is no such module or it defines no such class.
    """
    if name in modules(package):
        found = _defined_in(package, name, contract)
        if found is not None:
            return found
    raise UnknownName(kind, name, names(package, contract))
