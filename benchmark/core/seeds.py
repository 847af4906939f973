"""Seeds that are computed from what they are for, so that no random state is shared or saved."""

from __future__ import annotations

import hashlib


def stream_seed(*parts: str | int) -> int:
    """Return a seed in [0, 2⁶³) for the stream named by `parts`.

    The same parts give the same seed on every machine; other parts give an independent one.
    """
    text = "\0".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
