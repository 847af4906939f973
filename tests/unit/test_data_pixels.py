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
from icc import (
    ADOBE,
    ADOBE_RGB,
    DISPLAY_P3,
    P3,
    SRGB,
    encoded,
    grey_profile,
    matrix_profile,
    srgb_of,
    srgb_of_p3,
)
from PIL import Image, ImageCms, PngImagePlugin

from benchmark.data.image_files import open_file
from benchmark.data.pixels import decode, fit_square
from benchmark.data.stored import stored_as


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


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "MPO"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    red, blue = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    options = {"save_all": True, "append_images": [blue], "duration": 50}
    if kind == "WEBP":
        options["lossless"] = True
    image, notes = decode(saved(red, kind, **options))
    assert np.asarray(image)[0, 0].tolist() == pytest.approx([255, 0, 0], abs=1)
    assert notes[0] == "animated, first frame"


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", [*range(1, 9), 0, 9])
def test_exif_orientation_is_applied(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image, notes = decode(saved(Image.fromarray(RGB), kind, exif=exif))
    turned = {
        1: RGB,
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.swapaxes(0, 1),
        6: np.rot90(RGB, -1),
        7: RGB[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(RGB, 1),
        0: RGB,  # 0 and 9 are no orientations
        9: RGB,
    }[orientation]
    assert np.array_equal(np.asarray(image), turned)
    assert notes == (["EXIF orientation"] if orientation in range(2, 9) else [])


@pytest.mark.parametrize("kind", ["RGB", "L", "1", "P", "CMYK", "GIF", "JPEG", "quantized PNG"])
def test_ordinary_files_give_the_bytes_that_the_libraries_see(kind: str) -> None:
    """pytorch-fid, torch-fidelity and clean-fid call `convert("RGB")` of what they open."""
    image = Image.fromarray(RGB)
    file = {
        "GIF": lambda: saved(image, "GIF"),
        "JPEG": lambda: saved(image, "JPEG", quality=80),
        "CMYK": lambda: saved(image.convert("CMYK"), "JPEG"),
        "quantized PNG": lambda: saved(image.quantize(7), "PNG"),
    }.get(kind, lambda: saved(image.convert(kind), "PNG"))()
    assert np.array_equal(np.asarray(decode(file)[0]), np.asarray(file().convert("RGB")))


COLOURS = np.stack(np.meshgrid(*[np.arange(0, 256, 17)] * 3, indexing="ij"), -1).astype(np.uint8)
COLOURS = COLOURS.reshape(64, 64, 3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(
    ("profile", "primaries", "gamma", "name"),
    [(DISPLAY_P3, P3, 0, "Display P3"), (ADOBE_RGB, ADOBE, 2.19921875, "Adobe RGB")],
)
def test_colours_are_those_that_the_profile_means(
    kind: str, profile: bytes, primaries: object, gamma: float, name: str
) -> None:
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    image, notes = decode(saved(Image.fromarray(COLOURS), kind, icc_profile=profile, **options))
    expected = srgb_of(COLOURS, primaries, gamma).astype(int)
    # Little CMS rounds linear light to 16 bits, which is coarse in the darkest colours.
    off = np.abs(np.asarray(image).astype(int) - expected)
    assert off.max() <= 3
    assert off.mean() < 0.1
    assert notes == [f"colour profile {name} to sRGB"]
    by_library = ImageCms.profileToProfile(
        Image.fromarray(COLOURS),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        outputMode="RGB",
    )
    assert np.array_equal(np.asarray(image), np.asarray(by_library))


@pytest.mark.parametrize(
    "profile",
    [
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        matrix_profile("sRGB by another hand", SRGB, 0),
    ],
    ids=["Little CMS", "table"],
)
def test_pixels_of_an_srgb_profile_stay_as_they_are(profile: bytes) -> None:
    image, notes = decode(saved(Image.fromarray(COLOURS), "PNG", icc_profile=profile))
    assert np.array_equal(np.asarray(image), COLOURS)
    assert notes == []


def test_the_profile_is_applied_to_palettes_and_below_transparency() -> None:
    colours = Image.fromarray(COLOURS).quantize(16)
    expected = srgb_of_p3(np.asarray(colours.convert("RGB"))).astype(int)
    image, notes = decode(saved(colours, "PNG", icc_profile=DISPLAY_P3))
    assert np.abs(np.asarray(image) - expected).max() <= 3
    assert notes == ["palette", "colour profile Display P3 to sRGB"]
    clear = Image.new("RGBA", (4, 4), (200, 20, 30, 51))
    image, notes = decode(saved(clear, "PNG", icc_profile=DISPLAY_P3))
    (colour,) = srgb_of_p3(np.array([[[200, 20, 30]]], np.uint8))[0]
    laid = [round(int(c) * 0.2 + 255 * 0.8) for c in colour]
    assert np.asarray(image)[0, 0].tolist() == pytest.approx(laid, abs=2)
    assert notes == ["colour profile Display P3 to sRGB", "alpha on white"]


def test_greys_have_profiles_of_greys_or_of_colours() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    profile = grey_profile("Gamma 1", 1.0)
    image, notes = decode(saved(Image.fromarray(ramp), "PNG", icc_profile=profile))
    expected = encoded(ramp / 255) * 255
    assert np.abs(np.asarray(image)[..., 1] - expected).max() <= 1
    assert notes == ["greyscale", "colour profile Gamma 1 to sRGB"]
    wide = Image.fromarray(ramp.astype(np.uint16) * 257)
    image, notes = decode(saved(wide, "PNG", icc_profile=profile))
    assert np.abs(np.asarray(image)[..., 1] - expected).max() <= 1
    assert notes == ["16-bit", "greyscale", "colour profile Gamma 1 to sRGB"]
    image, notes = decode(saved(Image.fromarray(ramp), "PNG", icc_profile=DISPLAY_P3))
    assert np.abs(np.asarray(image).astype(int) - ramp[..., None]).max() <= 1
    assert notes == ["greyscale", "colour profile Display P3 to sRGB"]


@pytest.mark.parametrize(
    ("profile", "why"),
    [(b"no profile", "damaged"), (grey_profile("Grey", 1.0), "of GRAY colours")],
)
def test_a_profile_that_cannot_be_applied_is_named(profile: bytes, why: str) -> None:
    image, notes = decode(saved(Image.fromarray(COLOURS), "PNG", icc_profile=profile))
    assert np.array_equal(np.asarray(image), COLOURS)
    assert notes == [f"colour profile not applied, as it is {why}"]


def test_a_declared_gamma_or_space_that_is_not_applied_is_named() -> None:
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", struct.pack(">I", 100000))
    info.add(b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
    _, notes = decode(saved(Image.fromarray(COLOURS), "PNG", pnginfo=info))
    assert notes == ["gamma 1 not applied", "primaries not applied"]
    usual = PngImagePlugin.PngInfo()
    usual.add(b"gAMA", struct.pack(">I", 45455))
    usual.add(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))
    assert decode(saved(Image.fromarray(COLOURS), "PNG", pnginfo=usual))[1] == []
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    _, notes = decode(saved(Image.fromarray(COLOURS), "JPEG", exif=exif))
    assert notes == ["Adobe RGB of EXIF not applied"]


def with_codes(kind: str, primaries: int, transfer: int) -> Callable[[], Image.Image]:
    """An image whose file names its colours by numbers of ITU-T H.273."""
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add(b"cICP", bytes([primaries, transfer, 0, 1]))
        return saved(Image.fromarray(RGB), kind, pnginfo=info)
    content = saved(Image.fromarray(RGB), kind).args[0].getvalue()
    at = content.index(b"colrnclx") + 8
    changed = content[:at] + struct.pack(">HH", primaries, transfer) + content[at + 4 :]
    return functools.partial(Image.open, io.BytesIO(changed))


@pytest.mark.parametrize("kind", ["PNG", "AVIF"])
def test_colour_codes_that_are_not_applied_are_named(kind: str) -> None:
    assert decode(with_codes(kind, 1, 13))[1] == []
    assert decode(with_codes(kind, 2, 2))[1] == []
    assert decode(with_codes(kind, 12, 13))[1] == ["colour codes 12/13 not applied"]
    assert decode(with_codes(kind, 1, 16))[1] == ["colour codes 1/16 not applied"]


def test_the_profile_of_a_jpeg_2000_is_applied() -> None:
    content = saved(Image.fromarray(COLOURS), "JPEG2000").args[0].getvalue()
    at = content.index(b"colr") - 4
    old = int.from_bytes(content[at : at + 4])
    profile = DISPLAY_P3
    box = struct.pack(">I", 4 + 4 + 3 + len(profile)) + b"colr\2\0\0" + profile
    header = content.index(b"jp2h") - 4
    length = int.from_bytes(content[header : header + 4]) + len(box) - old
    changed = content[:header] + struct.pack(">I", length) + content[header + 4 : at]
    changed += box + content[at + old :]
    image, notes = decode(functools.partial(Image.open, io.BytesIO(changed)))
    expected, expected_notes = decode(saved(Image.fromarray(COLOURS), "PNG", icc_profile=profile))
    assert np.array_equal(np.asarray(image), np.asarray(expected))
    assert notes == expected_notes
    assert "to sRGB" in notes[0]


def tiff(
    pixels: bytes, bits: int, photometric: int = 1, sign: int = 1
) -> Callable[[], Image.Image]:
    """A grey TIFF of two pixels; photometric 0: 0 is white; sign 2: the numbers are signed."""
    tags = {256: 2, 257: 1, 258: bits, 259: 1, 262: photometric, 277: 1, 278: 1, 339: sign}
    tags |= {273: 8 + 2 + 12 * 10 + 4, 279: len(pixels)}
    content = b"".join(struct.pack("<HHIHH", t, 3, 1, v, 0) for t, v in sorted(tags.items()))
    file = b"II" + struct.pack("<HIH", 42, 8, len(tags)) + content + bytes(4) + pixels
    return functools.partial(Image.open, io.BytesIO(file))


@pytest.mark.parametrize(
    ("file", "greys", "note"),
    [
        (tiff(struct.pack("<HH", 257, 65535), 16), [1, 255], "16-bit"),
        (tiff(struct.pack("<HH", 257, 65535), 16, photometric=0), [254, 0], "16-bit"),
        (tiff(bytes([0x80, 0x0F, 0xFF]), 12), [128, 255], "12-bit"),
    ],
    ids=["16 bits", "0 is white", "12 bits"],
)
def test_wide_tiffs_are_scaled_by_their_range(
    file: Callable[[], Image.Image], greys: list[int], note: str
) -> None:
    image, notes = decode(file)
    assert np.asarray(image)[0, :, 0].tolist() == greys
    assert notes == [note, "greyscale"]


@pytest.mark.parametrize(
    "file",
    [
        tiff(struct.pack("<ii", 0, 255), 32, sign=2),
        tiff(struct.pack("<II", 0, 255), 32),
        tiff(struct.pack("<hh", 0, 255), 16, sign=2),
        tiff(struct.pack("<bb", -1, 127), 8, sign=2),
    ],
    ids=["int32", "uint32", "int16", "int8"],
)
def test_pixels_of_no_known_range_are_refused_and_not_black(
    file: Callable[[], Image.Image],
) -> None:
    with pytest.raises(ValueError, match="no known range"):
        decode(file)


def planes(bits: int) -> Callable[[], Image.Image]:
    """A TIFF of one pixel, (1, 2, 3) · 257, or · 1 of 8 bits, with each colour in its own plane."""
    size = bits // 8
    tags = {256: (1,), 257: (1,), 258: (bits,) * 3, 259: (1,), 262: (2,), 277: (3,), 278: (1,)}
    first = 8 + 2 + 12 * 10 + 4  # where the values begin that do not fit into the table
    pixels = first + 3 * 3 * 2
    tags |= {273: tuple(pixels + i * size for i in range(3)), 279: (size,) * 3, 284: (2,)}
    table, values = b"", b""
    for tag, numbers in sorted(tags.items()):
        content = struct.pack(f"<{len(numbers)}H", *numbers)
        if len(numbers) > 1:
            content, values = struct.pack("<I", first + len(values)), values + content
        table += struct.pack("<HHI", tag, 3, len(numbers)) + content.ljust(4, b"\0")
    colours = struct.pack(
        "<3H" if size == 2 else "<3B", *(i * (257**size // 257) for i in (1, 2, 3))
    )
    file = b"II" + struct.pack("<HIH", 42, 8, len(tags)) + table + bytes(4) + values + colours
    return functools.partial(Image.open, io.BytesIO(file))


def test_planes_of_16_bits_are_refused_where_pillow_misreads_them() -> None:
    assert np.asarray(decode(planes(8))[0])[0, 0].tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="16-bit colours in separate planes are misread"):
        decode(planes(16))


@pytest.mark.parametrize("header", [b"P6 1 1 65535\n", b"P3 1 1 65535\n"])
def test_16_bit_portable_pixmap_is_named(header: bytes) -> None:
    row = b"32896 65535 0 " if header[1:2] == b"3" else struct.pack(">HHH", 0x8080, 65535, 0)
    image, notes = decode(functools.partial(Image.open, io.BytesIO(header + row)))
    assert np.asarray(image)[0, 0].tolist() == [128, 255, 0]
    assert notes == ["16-bit"]


def test_values_of_8_bits_in_a_16_bit_file_are_named() -> None:
    values = np.arange(256, dtype=np.uint16).reshape(16, 16)
    image, notes = decode(saved(Image.fromarray(values), "PNG"))
    assert np.asarray(image).max() == 1
    assert notes == ["16-bit, but black", "greyscale"]


def test_transparent_16_bit_grey_is_laid_on_white() -> None:
    values = np.array([[1000, 65535, 1001, 0]], np.uint16)
    image, notes = decode(saved(Image.fromarray(values), "PNG", transparency=1000))
    assert np.asarray(image)[0, :, 0].tolist() == [255, 255, 4, 0]
    assert notes == ["16-bit", "greyscale", "alpha on white"]


def test_black_and_white_is_named() -> None:
    bits = Image.fromarray(RGB[..., 0] > 128)
    image, notes = decode(saved(bits, "PNG"))
    assert np.array_equal(np.asarray(image)[..., 2], np.asarray(bits) * 255)
    assert notes == ["1-bit"]


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 75, 95, 100])
def test_the_quality_of_a_jpeg_is_found(quality: int) -> None:
    with saved(Image.fromarray(RGB), "JPEG", quality=quality)() as image:
        assert stored_as(image) == f"JPEG quality {quality}"


def test_a_jpeg_with_tables_of_its_own_is_about_the_nearest_quality() -> None:
    with saved(Image.fromarray(RGB), "JPEG", quality=80)() as image:
        tables = {k: [min(255, v + 1) for v in table] for k, table in image.quantization.items()}
    with saved(Image.fromarray(RGB), "JPEG", qtables=tables)() as image:
        assert stored_as(image).startswith("JPEG quality about 7")
    with saved(Image.fromarray(RGB), "WEBP")() as image:
        assert stored_as(image) == "WEBP"


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
