"""Parts: what a config chooses by name. Each is a class in a file of its own.

A part is a frozen model. Its fields are its options; a literal, `kind`, is its name in a config:

    class Blur(Control):
        kind: Literal["blur"] = "blur"
        width: Positive = 1 / 32

It is found in the folder of its like. No other file names it.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import operator
import pkgutil
from typing import Annotated, Any, Generic, TypeVar, get_args

from pydantic import Field

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import StrictModel, nearest_names

P = TypeVar("P", bound=StrictModel)


class Parts(Generic[P]):
    """All parts of one sort: the classes below `base` in the modules of a package, by name.

    Nothing is imported before a part is asked for. Modules of parts should import quickly, as every
    job imports them: what is slow to import belongs into the methods that need it.

    Args:
        noun: what one of them is called in messages.
        base: the class that they have in common.
        package: the dotted name of the package in which they are found.
        key: the field that holds the name.
    """

    def __init__(self, noun: str, base: type[P], package: str, key: str = "kind") -> None:
        self.noun = noun
        self._base = base
        self._package = package
        self._key = key

    @functools.cached_property
    def classes(self) -> dict[str, type[P]]:
        """The class of each part, by its name, sorted.

        Raises:
            BenchmarkError: two have the same name.
        """
        found: dict[str, type[P]] = {}
        for part in self._defined():
            name = self._name(part)
            if name in found:
                raise BenchmarkError(
                    f"{inspect.getfile(part)}: {inspect.getfile(found[name])} has a {self.noun} "
                    f"{name!r} too: give it another {self._key}"
                )
            found[name] = part
        return dict(sorted(found.items()))

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return list(self.classes)

    def get(self, name: str) -> type[P]:
        """Return the class called `name`; raise BenchmarkError with the nearest right name."""
        if name not in self.classes:
            raise BenchmarkError(f"no {self.noun} {name!r}: {nearest_names(name, self.classes)}")
        return self.classes[name]

    def make(self, name: str, **options: Any) -> P:
        """Return the part called `name`, with these options and the defaults of the others.

        Raises:
            BenchmarkError: there is none of this name.
            pydantic.ValidationError: it has no such options.
        """
        return self.get(name)(**{self._key: name, **options})

    def union(self) -> Any:
        """Return the type of a config's key that holds any of them, told apart by name."""
        union = functools.reduce(operator.or_, self.classes.values())
        return Annotated[union, Field(discriminator=self._key)]

    def _defined(self) -> list[type[P]]:
        """Return the classes that a module of the package defines and that have a name."""
        package = importlib.import_module(self._package)
        names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
        modules = [importlib.import_module(f"{self._package}.{name}") for name in names]
        return [
            part
            for module in modules
            for part in vars(module).values()
            if inspect.isclass(part)
            and issubclass(part, self._base)
            and part.__module__ == module.__name__
            and self._name(part)
        ]

    def _name(self, part: type[P]) -> str:
        """Return the name of a part; empty for a class that others are made of."""
        field = part.model_fields.get(self._key)
        names = get_args(field.annotation) if field else ()
        return names[0] if len(names) == 1 and isinstance(names[0], str) else ""
