"""Cartoon faces, drawn from seeds: data that need no download and no account."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any, Literal

from PIL import Image
from pydantic import Field, model_validator

from benchmark.core.strict_model import nearest_names, shown, text
from benchmark.data.sources.base import Candidates, Item, Offer, Source

if TYPE_CHECKING:
    from dicebear import Style

Colour = Annotated[str, text("^[0-9a-f]{6}$", "a colour of 6 hexadecimal digits in small letters")]

TRIES = 5  # candidates for each wanted image, after which the style has too few different images


class Avatars(Source):
    """Faces of a DiceBear style.

    Image i depends on the style, its options, the seed, i and the resolution, and on nothing else.
    Two numbers can give the same pixels; the second image is then left out, so that all images of
    both sets are different.
    """

    source: Literal["avatars"] = "avatars"
    style: str = Field(default="toon-head", description="Name of the DiceBear style")
    background: tuple[Colour, ...] = Field(
        default=("b6e3f4", "c0aede", "ffd5dc"),
        min_length=1,
        description="Colours in hexadecimal, of which each image takes one",
    )
    scale: float = Field(default=1.4, gt=0, le=10, description="1: the style's own size")
    translate_x: float = Field(default=0, ge=-100, le=100, description="Rightwards, % of width")
    translate_y: float = Field(default=10, ge=-100, le=100, description="Downwards, % of height")
    options: dict[str, str | float | list[str]] = Field(
        default={}, description="Further options of the style, such as eyesVariant: [wide]"
    )

    @model_validator(mode="after")
    def _check(self) -> Avatars:
        known = style_names()
        if self.style not in known:
            raise ValueError(f"style: no {shown(self.style)}: {nearest_names(self.style, known)}")
        if self.options:
            check_options(self.style, self.options)
        return self

    def all_options(self) -> dict[str, Any]:
        """Return the options by DiceBear's own names, without the seed."""
        return {
            "backgroundColor": list(self.background),
            "scale": self.scale,
            "translateX": self.translate_x,
            "translateY": self.translate_y,
            **self.options,
        }

    def offer(self) -> Offer:
        """Return several candidates for each wanted image, since some have equal pixels."""
        meta = _definition(self.style)["meta"]
        return Offer(
            train=Candidates(range(TRIES * (self.train + self.held_out)), self._read),
            held_out=None,
            origin=f"DiceBear style {self.style}, seed {self.seed}",
            licence=f"{meta['license']['name']} ({meta['license']['url']})",
            attribution=meta["license"].get("text", meta["creator"]["name"]),
            distinct=True,
        )

    def _read(self, indices: Sequence[int]) -> Iterator[Item]:
        for index in indices:
            yield Item(f"{self.seed}-{index}", functools.partial(self.render, index))

    def render(self, index: int) -> Image.Image:
        """Draw image `index`."""
        from dicebear import Avatar
        from resvg_py import svg_to_bytes

        options = {**self.all_options(), "seed": f"{self.seed}-{index}"}
        png = svg_to_bytes(
            svg_string=Avatar(_style(self.style), options).to_string(),
            width=self.resolution,
            height=self.resolution,
            background="#ffffff",  # for styles that paint no background of their own
            skip_system_fonts=True,  # the same image on every machine
        )
        return Image.open(io.BytesIO(png)).convert("RGB")


def style_names() -> list[str]:
    """Return the names of all styles that are installed."""
    files = resources.files("dicebear_styles").iterdir()
    return sorted(f.name.removesuffix(".json") for f in files if f.name.endswith(".json"))


def check_options(style: str, options: dict[str, Any]) -> None:
    """Refuse options and values that the style does not have, most of which DiceBear ignores.

    Raises:
        ValueError: an option or value is not known; the message has the nearest known name.
    """
    from dicebear import Avatar, OptionsDescriptor, OptionsValidationError

    known = OptionsDescriptor(_style(style)).to_json()
    for name, value in options.items():
        if name not in known:
            raise ValueError(
                f"options: style {style} has no {shown(name)}: {nearest_names(name, known)}"
            )
        choices = known[name].get("values", ())
        for choice in value if isinstance(value, list) else [value]:
            if choices and choice not in choices:
                raise ValueError(
                    f"options.{name}: no {shown(choice)}: {nearest_names(choice, choices)}"
                )
    try:
        Avatar(_style(style), options)
    except OptionsValidationError as error:
        detail = error.details[0]
        name = detail["instancePath"].strip("/")
        raise ValueError(
            f"options.{name}: {shown(options[name])} breaks the {detail['message']} of style "
            f"{style}"
        ) from None


@functools.cache
def _style(name: str) -> Style:
    from dicebear import Style

    return Style(_definition(name))


@functools.cache
def _definition(name: str) -> dict[str, Any]:
    text = resources.files("dicebear_styles").joinpath(f"{name}.json").read_text(encoding="utf-8")
    definition: dict[str, Any] = json.loads(text)
    return definition
