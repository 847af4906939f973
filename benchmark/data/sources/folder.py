"""Any folder of images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field

from benchmark.core.strict_model import UserPath, UserText
from benchmark.data.image_files import check_images, file_candidates
from benchmark.data.labels import FOLDERS, labels_of, names_of
from benchmark.data.listing import image_files
from benchmark.data.sources.base import Offer, Photographs


class Folder(Photographs):
    """All images below a folder, in the order of their relative paths, drawn by seed."""

    source: Literal["folder"] = "folder"
    path: UserPath = Field(description="The folder", examples=["photos"])
    licence: str = Field(default="unknown", description="What may be done with the images")
    attribution: str = Field(
        default="", description="Whom to name", examples=["The photographers of the club"]
    )
    labels: UserText | None = Field(
        default=None,
        min_length=1,
        description="The classes of the images. folders: each folder directly in `path` is one; or "
        "a CSV file whose two columns are the path of an image in `path`, and its class",
        examples=["folders"],
    )

    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes, sorted."""
        return () if self.labels is None else names_of(self.path, self.labels)

    def offer(self) -> Offer:
        """List the images, without opening them."""
        files, ignored = image_files(self.path, "path")
        labels = None if self.labels is None else labels_of(files, self.path, self.labels)
        return Offer(
            train=file_candidates(self.path, files, self.seed, labels),
            held_out=None,
            origin=f"folder {self.path}",
            licence=self.licence,
            attribution=self.attribution,
            skip_bad=self.on_bad_image == "skip",
            ignored=ignored,
        )

    def local_files(self) -> tuple[Path, list[str]]:
        """Return the folder and its images, and the file of their labels."""
        files = image_files(self.path, "path").files
        if self.labels not in (None, FOLDERS):
            files.append(os.path.relpath(str(self.labels), self.path))
        return self.path, files

    def check_files(self, at: str) -> None:
        """Refuse a folder that has too few images, an empty one, or one without its label."""
        wanted, skip = self.train + self.held_out, self.on_bad_image == "skip"
        check_images(f"{at}.path", self.path, self.seed, wanted, skip)
        if self.labels is not None:
            labels_of(image_files(self.path, f"{at}.path").files, self.path, self.labels, at)
