"""Parts: what a config chooses by name, as samplers and metrics. Each is a class in its own file.

A part is a frozen model. Its fields are its options; the field `kind`, a literal, is its name:

    class Blur(Control):
        kind: Literal["blur"] = "blur"
        width: Positive = 1 / 32

All parts of one sort lie in one folder, in which they are found. No other file has to name them.
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
    """All parts of one sort, by name: the subclasses of `base` in the modules of a package.

    The modules are imported when the first part is asked for. All of them then are, in every job,
    so a library that is slow to import belongs into the methods that need it.

    Args:
        noun: what messages call one of the parts.
        base: base class of the parts.
        package: dotted name of the package that contains them.
        key: name of the field that holds the name of a part.
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
            BenchmarkError: two parts have the same name.
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
        """Return the class called `name`; raise BenchmarkError with the nearest known name."""
        if name not in self.classes:
            raise BenchmarkError(f"no {self.noun} {name!r}: {nearest_names(name, self.classes)}")
        return self.classes[name]

    def make(self, name: str, **options: Any) -> P:
        """Return the part called `name` with some options; the others have their defaults.

        Raises:
            BenchmarkError: no part has this name.
            pydantic.ValidationError: the part has no such option, or not with this value.
        """
        return self.get(name)(**{self._key: name, **options})

    def union(self) -> Any:
        """Return the type of a config key whose value is any of the parts, chosen by its name."""
        union = functools.reduce(operator.or_, self.classes.values())
        return Annotated[union, Field(discriminator=self._key)]

    def _defined(self) -> list[type[P]]:
        """Return the parts that the modules of the package define."""
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
        """Return the name of a part; empty for a class that is only a base of parts."""
        field = part.model_fields.get(self._key)
        names = get_args(field.annotation) if field else ()
        return names[0] if len(names) == 1 and isinstance(names[0], str) else ""
