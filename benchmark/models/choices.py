"""Settings of a checkpoint that are not followed, which records and tables report."""

from __future__ import annotations

import json
from typing import Any, Self

from pydantic import Field

from benchmark.core.strict_model import StrictModel


class Choice(StrictModel):
    """A setting of a checkpoint, and what was done instead."""

    setting: str = Field(description="Its name in the checkpoint")
    checkpoint: str = Field(description="Its value there")
    here: str = Field(description="What was done, as the end of a sentence")

    @classmethod
    def of(cls, setting: str, value: Any, here: str) -> Self:
        """Return a choice for a value that was read from a JSON file."""
        return cls(
            setting=setting,
            checkpoint=value if isinstance(value, str) else json.dumps(value),
            here=here,
        )

    def __str__(self) -> str:
        """Return one sentence without its full stop."""
        return f"the checkpoint says {self.setting} {self.checkpoint}; {self.here}"
