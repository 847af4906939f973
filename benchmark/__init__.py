"""A reproducible benchmark of diffusion models.

    import benchmark as db

    run = db.read("results/quickstart")   # tables of pandas, arrays and pictures of a run
    images = db.sample("avatars-flow", sampler="heun", steps=10, n=64)
    print(db.score("faces/", images))

Each name is imported when it is first used, so that the import itself takes no time.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from benchmark.tools.drawing import sample
    from benchmark.tools.measuring import score
    from benchmark.tools.run_frames import read

__all__ = ["read", "sample", "score"]

_PLACES = {"read": "run_frames", "sample": "drawing", "score": "measuring"}

# Nothing is told to anyone: before the libraries are imported, which ask when they are. MLflow 3.17
# takes no notice of DO_NOT_TRACK=1, only of its own switch and of the word true.
os.environ.update(
    dict.fromkeys(("HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"), "1")
)


def __getattr__(name: str) -> object:
    """Import a function of the interface."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.tools.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    """Return the names of the module, for completion."""
    return sorted([*globals(), *__all__])
