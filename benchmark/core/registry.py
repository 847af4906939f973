"""Named functions whose options come from their own signatures."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar, get_type_hints

from pydantic import create_model

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict import Strict, nearest_names

F = TypeVar("F", bound=Callable[..., Any])


class Options(Strict):
    """Options of one registered function; `kind` is the name it was registered under."""

    kind: str

    def keywords(self) -> dict[str, Any]:
        """Return the options as keyword arguments of the registered function."""
        return self.model_dump(exclude={"kind"})


class Registry(Generic[F]):
    """Functions by name. Registering one is all it takes to use it from a config."""

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self._functions: dict[str, F] = {}

    def register(self, name: str) -> Callable[[F], F]:
        """Register a function under `name`; its keyword-only arguments become its options."""

        def add(function: F) -> F:
            self._functions[name] = function
            return function

        return add

    def get(self, name: str) -> F:
        """Return the function called `name`; raise BenchmarkError with the nearest right name."""
        if name not in self._functions:
            raise BenchmarkError(f"no {self.noun} {name!r}: {nearest_names(name, self._functions)}")
        return self._functions[name]

    def names(self) -> list[str]:
        """Return all registered names, sorted."""
        return sorted(self._functions)

    def options(self, name: str) -> type[Options]:
        """Return the pydantic model of the options of `name`."""
        function = self.get(name)
        keywords = [
            p
            for p in inspect.signature(function).parameters.values()
            if p.kind is inspect.Parameter.KEYWORD_ONLY
        ]
        hints = _keyword_hints(function, [p.name for p in keywords])
        fields: dict[str, Any] = {
            p.name: (hints[p.name], ... if p.default is p.empty else p.default) for p in keywords
        }
        kind: Any = (Literal[name], name)
        return create_model(f"{name} {self.noun}", __base__=Options, kind=kind, **fields)


def _keyword_hints(function: Callable[..., Any], names: list[str]) -> dict[str, Any]:
    """Evaluate only the annotations of the options: the others may name types not imported."""

    def holder() -> None: ...

    annotations = inspect.get_annotations(function)
    holder.__annotations__ = {name: annotations[name] for name in names}
    module = inspect.getmodule(function)
    return get_type_hints(holder, globalns=vars(module) if module else None, include_extras=True)
