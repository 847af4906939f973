"""JSON that is the same text for equal values, and its hash, which identifies a specification."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def spec_hash(spec: dict[str, Any]) -> str:
    """Return the SHA-256 of a specification, in hexadecimal."""
    return hashlib.sha256(canonical_json(spec).encode()).hexdigest()
