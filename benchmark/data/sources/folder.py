"""Any folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from benchmark.core.strict_model import UserPath
from benchmark.data.image_files import check_images, file_candidates
from benchmark.data.listing import image_files
from benchmark.data.sources.base import Offer, Photographs


class Folder(Photographs):
    """All images below a folder, in the order of their relative paths, drawn by seed."""

    source: Literal["folder"] = "folder"
    path: UserPath = Field(description="The folder")
    licence: str = Field(default="unknown", description="What may be done with the images")
    attribution: str = Field(default="", description="Whom to name")

    def offer(self) -> Offer:
        """List the images, without opening them."""
        files, ignored = image_files(self.path, "path")
        return Offer(
            train=file_candidates(self.path, files, self.seed),
            held_out=None,
            origin=f"folder {self.path}",
            licence=self.licence,
            attribution=self.attribution,
            skip_bad=self.on_bad_image == "skip",
            ignored=ignored,
        )

    def local_files(self) -> tuple[Path, list[str]]:
        """Return the folder and its images."""
        return self.path, image_files(self.path, "path").files

    def check_files(self, at: str) -> None:
        """Refuse a folder that has too few images, or an empty one among those that are drawn."""
        wanted, skip = self.train + self.held_out, self.on_bad_image == "skip"
        check_images(f"{at}.path", self.path, self.seed, wanted, skip)
