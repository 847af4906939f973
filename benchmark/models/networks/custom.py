"""Networks of the user."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from benchmark.core.closure import own_folders, source_file
from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import text
from benchmark.models.networks.base import Network

if TYPE_CHECKING:
    from torch import nn


class Custom(Network):
    """A network that a function of the user makes."""

    kind: Literal["custom"] = "custom"
    factory: Annotated[str, text(r"^\w+(\.\w+)*:\w+$", "MODULE:FUNCTION, as mine:network")] = Field(
        description="module:function, called with the resolution and the options, that returns a "
        "torch module",
        examples=["mine:network"],
    )
    options: dict[str, Any] = Field(
        default={}, description="Keyword arguments of the function", examples=[{"width": 64}]
    )

    @model_validator(mode="after")
    def _check_options(self) -> Custom:
        try:
            json.dumps(self.options, allow_nan=False)
        except ValueError:
            raise ValueError("options: finite numbers are needed, not NaN or infinity") from None
        return self

    def build(self, resolution: int) -> nn.Module:
        """Call the user's function; raise BenchmarkError if it fails."""
        from torch import nn

        module, name = self.factory.split(":")
        # The user's folders come first, as when the code of the modules is hashed.
        folders = [str(folder) for folder in own_folders()]
        sys.path[:] = [*folders, *(path for path in sys.path if path not in folders)]
        try:
            network = getattr(importlib.import_module(module), name)(resolution, **self.options)
        except (ImportError, AttributeError, TypeError) as error:
            raise BenchmarkError(
                f"networks: factory {self.factory} fails: {error}: give module:function of a "
                "function that takes the resolution and the options"
            ) from error
        if not isinstance(network, nn.Module):
            raise BenchmarkError(
                f"networks: factory {self.factory} returns {type(network).__name__}, not a torch "
                "module"
            )
        return network

    def users_code(self) -> str:
        """Return the user's function."""
        return self.factory

    def modules(self, at: str) -> list[str]:
        """Return this module and the user's; raise BenchmarkError if the latter is missing."""
        module, folders = self.factory.partition(":")[0], own_folders()
        if source_file(module, [*folders, *map(Path, sys.path)]) is None:
            raise BenchmarkError(
                f"{at}.factory: no module {module!r} in {' or '.join(map(str, folders))}: "
                f"put {module}.py there"
            )
        return [*super().modules(at), module]
