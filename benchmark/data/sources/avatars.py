"""Cartoon faces, drawn from seeds: data that need no download and no account."""

from __future__ import annotations

import functools
import io
import itertools
import json
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any, Literal

from PIL import Image
from pydantic import Field, model_validator

from benchmark.core.strict_model import nearest_names, shown, text
from benchmark.data.sources.base import JOINT, Candidates, Item, Offer, Source

if TYPE_CHECKING:
    from dicebear import Avatar, Style

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
        default={},
        description="Further options of the style, such as eyesVariant: [wide]",
        examples=[{"eyesVariant": ["wide"]}],
    )
    label: str | None = Field(
        default=None,
        description="What of a drawn face is its class: a part or a colour of the style, as hair "
        "or skin, or several, as hair+skin; where some faces go without a part, `none` counts too",
        examples=["hair"],
    )

    @model_validator(mode="after")
    def _check(self) -> Avatars:
        known = style_names()
        if self.style not in known:
            raise ValueError(f"style: no {shown(self.style)}: {nearest_names(self.style, known)}")
        if self.options:
            check_options(self.style, self.options)
        if self.label is not None:
            self._check_label(self.label)
        return self

    def _check_label(self, label: str) -> None:
        known = {*_parts(self.style), *_definition(self.style)["colors"], "background"}
        names = label.split(JOINT)
        for name in names:
            if name not in known:
                raise ValueError(
                    f"label: style {self.style} has no {shown(name)}: {nearest_names(name, known)}"
                )
            if len(found := self._drawn_of(name)) < 2:
                raise ValueError(
                    f"label: all faces have the same {name}, {', '.join(found)}: choose another "
                    "part"
                )
        if len(set(names)) < len(names):
            raise ValueError(f"label: {label} names one twice: keep one of the two")

    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes: variants or colours that may be drawn, or their pairs.

        Those of a part are sorted, and `none` is last.
        """
        if self.label is None:
            return ()
        each = (self._drawn_of(name) for name in self.label.split(JOINT))
        return tuple(map(JOINT.join, itertools.product(*each)))

    def _drawn_of(self, name: str) -> tuple[str, ...]:
        """Return the variants or colours of one part or colour that may be drawn."""
        key, options, definition = self._key_of(name), self.all_options(), _definition(self.style)
        stated = options.get(key)
        if key.endswith("Color"):
            palette = definition["colors"].get(name, {}).get("values", ())
            found = {c.lstrip("#").lower() for c in _listed(stated) or palette}
            return tuple(sorted(found))
        part = _parts(self.style)[name]
        variants = sorted(_listed(stated) or part["variants"])
        chance = options.get(f"{name}Probability", part.get("probability"))
        always = (chance is None or chance >= 100) and name in _named(definition["canvas"])
        return (*variants, *([] if always else ["none"]))

    def _key_of(self, name: str) -> str:
        """Return DiceBear's name of the option that decides a part or a colour."""
        return f"{name}{'Variant' if name in _parts(self.style) else 'Color'}"

    def _label(self, index: int) -> int:
        """Return the number of the class of image `index`."""
        assert self.label is not None
        drawn = self._avatar(index).to_json()["options"]
        names = []
        for name in self.label.split(JOINT):
            found = drawn.get(self._key_of(name))
            names.append(
                (found[0].lstrip("#").lower() if isinstance(found, list) else found) or "none"
            )
            if names[-1] not in self._drawn_of(name):
                raise ValueError(f"it is drawn with {name} {names[-1]}: choose another label")
        return self.classes().index(JOINT.join(names))

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
            attribution=meta["license"].get("text", meta["creator"]["name"]).replace("„", "“"),
            distinct=True,
        )

    def _read(self, indices: Sequence[int]) -> Iterator[Item]:
        for index in indices:
            label = functools.partial(self._label, index) if self.label else None
            yield Item(f"{self.seed}-{index}", functools.partial(self.render, index), label)

    def render(self, index: int) -> Image.Image:
        """Draw image `index`."""
        from resvg_py import svg_to_bytes

        png = svg_to_bytes(
            svg_string=self._avatar(index).to_string(),
            width=self.resolution,
            height=self.resolution,
            background="#ffffff",  # for styles that paint no background of their own
            skip_system_fonts=True,  # the same image on every machine
        )
        return Image.open(io.BytesIO(png)).convert("RGB")

    def _avatar(self, index: int) -> Avatar:
        options = {**self.all_options(), "seed": f"{self.seed}-{index}"}
        return _drawn(self.style, json.dumps(options))


def _named(elements: Any) -> set[str]:
    """Return the names of the parts that stand directly in the elements of a drawing."""
    if isinstance(elements, list):
        return set().union(*map(_named, elements))
    if not isinstance(elements, dict):
        return set()
    own = {elements["name"]} if elements.get("type") == "component" else set()
    return own.union(*map(_named, elements.values()))


def _listed(value: Any) -> list[str]:
    """Return the values of an option: one, several, or none."""
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


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


@functools.lru_cache(maxsize=1)  # an image is drawn, and then asked for its class
def _drawn(style: str, options: str) -> Avatar:
    from dicebear import Avatar

    return Avatar(_style(style), json.loads(options))


@functools.cache
def _style(name: str) -> Style:
    from dicebear import Style

    return Style(_definition(name))


@functools.cache
def _definition(name: str) -> dict[str, Any]:
    text = resources.files("dicebear_styles").joinpath(f"{name}.json").read_text(encoding="utf-8")
    definition: dict[str, Any] = json.loads(text)
    return definition


def _parts(style: str) -> dict[str, dict[str, Any]]:
    """Return the parts of a style that are drawn in several variants, by name."""
    parts: dict[str, dict[str, Any]] = _definition(style)["components"]
    return {name: part for name, part in parts.items() if part.get("variants")}
