from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmark.data.folder import open_file
from benchmark.data.pixels import decode, fit_square


def saved(image: Image.Image, kind: str, **options: object) -> Callable[[], Image.Image]:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return functools.partial(Image.open, io.BytesIO(file.getvalue()))


RGB = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)


def test_rgb_is_kept_as_it_is() -> None:
    image, notes = decode(saved(Image.fromarray(RGB), "PNG"))
    assert np.array_equal(np.asarray(image), RGB)
    assert notes == []


def test_16_bit_grey_is_scaled_and_not_clipped() -> None:
    values = np.array([[0, 257, 128 * 257, 65535], [128, 129, 300, 40000]], dtype=np.uint16)
    image, notes = decode(saved(Image.fromarray(values), "PNG"))
    expected = np.round(values / 257).astype(np.uint8)
    assert np.array_equal(np.asarray(image), np.repeat(expected[..., None], 3, axis=2))
    assert notes == ["16-bit", "greyscale"]


def test_16_bit_portable_greymap_is_scaled(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 65535\n" + bytes([0x80, 0x80, 0xFF, 0xFF]))
    image, notes = decode(functools.partial(open_file, tmp_path / "a.pgm"))
    assert np.asarray(image)[0, :, 0].tolist() == [128, 255]
    assert "16-bit" in notes


def test_16_bit_colour_keeps_its_range_and_is_named() -> None:
    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    row = b"\0" + struct.pack(">HHH", 0x8080, 65535, 0)
    png = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(row)), (b"IEND", b"")):
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        png += struct.pack(">I", len(body)) + kind + body + checksum
    image, notes = decode(functools.partial(Image.open, io.BytesIO(png)))
    assert np.asarray(image)[0, 0].tolist() == [128, 255, 0]
    assert notes == ["16-bit"]


def test_palette_gives_its_colours() -> None:
    colours = Image.fromarray(RGB).quantize(8)
    image, notes = decode(saved(colours, "PNG"))
    assert np.array_equal(np.asarray(image), np.asarray(colours.convert("RGB")))
    assert notes == ["palette"]


def test_greyscale_gives_three_equal_channels() -> None:
    image, notes = decode(saved(Image.fromarray(RGB[..., 0]), "PNG"))
    assert np.array_equal(np.asarray(image), np.repeat(RGB[..., :1], 3, axis=2))
    assert notes == ["greyscale"]


def test_cmyk_white_is_white_and_named() -> None:
    image, notes = decode(saved(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "JPEG", quality=100))
    assert np.asarray(image).min() >= 254
    assert notes == ["CMYK"]


@pytest.mark.parametrize("alpha", [0, 51, 255])
def test_transparency_is_laid_on_white(alpha: int) -> None:
    image, notes = decode(saved(Image.new("RGBA", (4, 4), (10, 20, 30, alpha)), "PNG"))
    expected = [round(c * alpha / 255 + 255 - alpha) for c in (10, 20, 30)]
    assert np.asarray(image)[0, 0].tolist() == pytest.approx(expected, abs=1)
    assert notes == ["alpha on white"]


def test_transparent_palette_entry_is_white() -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([200, 0, 0])
    result, notes = decode(saved(image, "PNG", transparency=0))
    assert np.asarray(result).min() == 255
    assert notes == ["palette", "alpha on white"]


def test_transparent_grey_is_laid_on_white() -> None:
    result, notes = decode(saved(Image.new("LA", (4, 4), (0, 0)), "PNG"))
    assert np.asarray(result).min() == 255
    assert notes == ["greyscale", "alpha on white"]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    red, blue = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    options = {"save_all": True, "append_images": [blue], "duration": 50}
    if kind == "WEBP":
        options["lossless"] = True
    image, notes = decode(saved(red, kind, **options))
    assert np.asarray(image)[0, 0].tolist() == [255, 0, 0]
    assert notes[0] == "animated, first frame"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image, notes = decode(saved(Image.fromarray(RGB), "PNG", exif=exif))
    turned = {
        1: RGB,
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.swapaxes(0, 1),
        6: np.rot90(RGB, -1),
        7: RGB[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(RGB, 1),
    }[orientation]
    assert np.array_equal(np.asarray(image), turned)
    assert notes == ([] if orientation == 1 else ["EXIF orientation"])


def test_floating_point_pixels_are_refused() -> None:
    load = saved(Image.fromarray(RGB[..., 0].astype(np.float32)), "TIFF")
    with pytest.raises(ValueError, match="no known range"):
        decode(load)


def test_32_bit_pixels_beyond_16_bits_are_refused() -> None:
    load = saved(Image.fromarray(np.full((4, 4), 70000, np.int32)), "TIFF")
    with pytest.raises(ValueError, match="no known range"):
        decode(load)


def test_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="decompression bomb"):
        decode(saved(Image.fromarray(RGB), "PNG"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_half_a_file_is_refused(kind: str) -> None:
    file = io.BytesIO()
    Image.fromarray(RGB.repeat(8, axis=0).repeat(8, axis=1)).save(file, kind)
    half = file.getvalue()[: len(file.getvalue()) // 2]
    with pytest.raises(ValueError, match=r"."):
        decode(lambda: Image.open(io.BytesIO(half)))


PNG = io.BytesIO()
Image.fromarray(RGB).save(PNG, "PNG")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, len(PNG.getvalue()) - 1), st.integers(0, 255))
def test_any_damaged_byte_gives_an_image_or_a_one_line_reason(at: int, value: int) -> None:
    damaged = bytearray(PNG.getvalue())
    damaged[at] = value
    try:
        image, _ = decode(lambda: Image.open(io.BytesIO(damaged)))
    except ValueError as error:
        outcome = str(error)
    else:
        outcome = image.mode
    assert outcome
    assert "\n" not in outcome


def test_centre_crop_takes_the_middle() -> None:
    image = Image.fromarray(np.arange(6 * 10 * 3, dtype=np.uint8).reshape(6, 10, 3))
    assert np.array_equal(
        np.asarray(fit_square(image, 6, "centre", "lanczos")), np.asarray(image)[:, 2:8]
    )
    assert np.array_equal(np.asarray(fit_square(image, 4, 4, "area")), np.asarray(image)[1:5, 3:7])


def test_celeba_crop_matches_the_published_one() -> None:
    # torchvision's CenterCrop(140) of 178×218: rows 39 to 178, columns 19 to 158
    values = np.zeros((218, 178, 3), np.uint8)
    values[39:179, 19:159] = 255
    result = np.asarray(fit_square(Image.fromarray(values), 140, 140, "bilinear"))
    assert result.min() == 255


def test_no_crop_keeps_the_whole_image() -> None:
    values = np.zeros((8, 16, 3), np.uint8)
    values[:, 8:] = 255
    result = np.asarray(fit_square(Image.fromarray(values), 8, "none", "area"))
    assert result[0, :, 0].tolist() == [0] * 4 + [255] * 4


def test_crop_larger_than_the_image_is_refused_with_both_sizes() -> None:
    with pytest.raises(ValueError, match=r"10×12 pixels are too few for a crop of 11"):
        fit_square(Image.fromarray(RGB), 8, 11, "area")


@pytest.mark.parametrize("resize", ["lanczos", "bicubic", "bilinear", "area"])
def test_resize_is_antialiased(resize: str) -> None:
    # stripes one pixel wide become their mean; a filter that skips pixels gives 0 or 255
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    result = np.asarray(fit_square(Image.fromarray(stripes), 8, "none", resize))
    assert np.abs(result.astype(float) - 127.5).max() < 8


@given(st.integers(8, 40), st.integers(8, 40), st.integers(8, 24), st.integers(0, 255))
@settings(max_examples=25, deadline=None)
def test_flat_colour_stays_flat(width: int, height: int, resolution: int, value: int) -> None:
    image = Image.new("RGB", (width, height), (value, 7, 250))
    result = np.asarray(fit_square(image, resolution, "centre", "lanczos"))
    assert result.shape == (resolution, resolution, 3)
    assert (result == (value, 7, 250)).all()
