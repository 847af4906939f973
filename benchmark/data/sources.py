"""Every source of images. A new one is a module with a subclass of SourceBase, and a line here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from benchmark.data.avatars import Avatars
from benchmark.data.celeba import CelebA, CelebAHQ
from benchmark.data.folder import Folder

Source = Annotated[
    Avatars  # faces that need no download
    | Folder
    | CelebAHQ
    | CelebA,
    Field(discriminator="source"),
]
