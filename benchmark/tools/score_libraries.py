"""What other programs read and compute by default, so that `score` can replace them.

The facts are from their code, in the versions that docs/fid-dialects.md names; tests check them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

_COMMON = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True)
class Library:
    """A program that compares two folders of images.

    Attributes:
        name: name of its package.
        extractor: the extractor that preprocesses images and computes features as it does.
        suffixes: suffixes of the files that it reads.
        any_case: whether a suffix may be in upper or lower case.
        deep: whether it reads subfolders.
        kid_subsets: number of random subsets of its kernel distance; 0: it has none.
        kid_seed: seed of these subsets.
        kid_shrinks: whether subsets are smaller if there are fewer than 1,000 images.
    """

    name: str
    extractor: str
    suffixes: frozenset[str]
    any_case: bool = False
    deep: bool = False
    kid_subsets: int = 0
    kid_seed: int = 0
    kid_shrinks: bool = False

    def reads(self, file: str) -> bool:
        """Return whether it reads a file, given by its path relative to the folder."""
        return self.why_not(file) is None

    def why_not(self, file: str) -> str | None:
        """Return why it does not read a file: `in a subfolder`, or its suffix; None if it does."""
        path = PurePosixPath(file)
        if len(path.parts) > 1 and not self.deep:
            return "in a subfolder"
        suffix = path.suffix.lower() if self.any_case else path.suffix
        return None if suffix in self.suffixes else suffix

    def left_out(self, files: Iterable[str]) -> dict[str, int]:
        """Return the number of files that it does not read, by the reason."""
        reasons = Counter(why for file in files if (why := self.why_not(file)) is not None)
        return dict(sorted(reasons.items()))


LIBRARIES = {
    library.name: library
    for library in (
        Library("pytorch-fid", "inception-v3-fid", _COMMON),
        Library(
            "torch-fidelity",
            "inception-v3-torch-fidelity",
            frozenset({".jpeg", ".jpg", ".png"}),
            any_case=True,
            kid_subsets=100,
            kid_seed=2020,
        ),
        Library(
            "clean-fid",
            "inception-v3-clean-fid",
            _COMMON | {".JPEG", ".JPG", ".PNG"},
            deep=True,
            kid_subsets=100,
            kid_shrinks=True,
        ),
    )
}
KID_SUBSET = 1000  # images of each side in a subset, in all libraries that draw subsets


def library_of(extractor: str) -> Library | None:
    """Return the library whose results an extractor reproduces; None: there is none."""
    return next((known for known in LIBRARIES.values() if known.extractor == extractor), None)
