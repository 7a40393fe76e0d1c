"""Files of every format and kind of pixel decode to the same grey page; the rest is refused for the right reason."""

import io
import struct
import weakref
import zlib
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image, TiffImagePlugin

from paragraph_ocr.errors import BrokenImage, TooLarge, UnsupportedFormat
from paragraph_ocr.io import imaging
from paragraph_ocr.io.decoding_cost import ALWAYS_CONFINED, MAX_JPEG_SCANS
from paragraph_ocr.io.file_format import format_of, is_truncated
from paragraph_ocr.io.image_file import ImageFile, open_file
from paragraph_ocr.io.imaging import decode_pages
from paragraph_ocr.io.limits import DEFAULT_LIMITS, Limits

FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "HEIF", "AVIF", "JPEG2000"]

pillow_heif.register_heif_opener()


def page() -> np.ndarray:
    """A page with a dark top left quarter: uint8 (40, 60)."""
    pixels = np.full((40, 60), 230, np.uint8)
    pixels[:20, :30] = 40
    return pixels


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> np.ndarray:
    """The only page."""
    (only,) = imaging.decode(data, limits)
    return only


def encode(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_reads_every_format(form: str, mode: str) -> None:
    decoded = decode(encode(Image.fromarray(page()).convert(mode), form))
    assert decoded.dtype == np.uint8
    assert decoded.shape == (40, 60)
    assert np.abs(decoded.astype(int) - page()).mean() < 4


@pytest.mark.parametrize(
    ("mode", "form"),
    [("1", "PNG"), ("P", "PNG"), ("P", "GIF"), ("LA", "PNG"), ("RGBA", "PNG"), ("RGBA", "WEBP"), ("CMYK", "JPEG"),
     ("CMYK", "TIFF"), ("YCbCr", "TIFF"), ("RGBA", "TIFF"), ("RGBA", "HEIF"), ("RGBA", "AVIF"), ("LA", "JPEG2000"),
     ("RGBA", "JPEG2000")],
)  # fmt: skip
def test_reads_every_kind_of_pixel(mode: str, form: str) -> None:
    source = np.where(page() < 128, 0, 255).astype(np.uint8)
    decoded = decode(encode(Image.fromarray(source).convert("RGB").convert(mode), form))
    assert np.abs(decoded.astype(int) - source).mean() < 4


@pytest.mark.parametrize("form", ["PNG", "TIFF", "JPEG2000"])
def test_scales_sixteen_bits(form: str) -> None:
    decoded = decode(encode(Image.fromarray(page().astype(np.uint16) * 256), form))
    np.testing.assert_allclose(decoded, page(), atol=1)


def test_lightness_is_the_grey_of_cielab() -> None:
    colour = Image.new("L", (60, 40), 128)
    data = encode(Image.merge("LAB", [Image.fromarray(page()), colour, colour]), "TIFF")
    np.testing.assert_array_equal(decode(data), page())


def test_lays_transparent_pixels_over_white() -> None:
    pixels = np.zeros((10, 10, 4), np.uint8)
    pixels[:5, :, 3] = 255
    decoded = decode(encode(Image.fromarray(pixels), "PNG"))
    assert decoded[:5].max() == 0
    assert decoded[5:].min() == 255


def test_lays_a_transparent_palette_colour_over_white() -> None:
    image = Image.new("P", (10, 10), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    assert decode(encode(image, "PNG", transparency=0)).min() == 255


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_upright(form: str, orientation: int) -> None:
    stored = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: np.transpose,
        6: np.rot90,
        7: lambda a: np.rot90(a, 2).T,
        8: lambda a: np.rot90(a, -1),
    }[orientation](page())
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(encode(Image.fromarray(np.ascontiguousarray(stored)), form, exif=exif.tobytes()))
    assert decoded.shape == (40, 60)
    assert np.abs(decoded.astype(int) - page()).mean() < 4


def test_ignores_broken_exif() -> None:
    decoded = decode(encode(Image.fromarray(page()), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff"))
    assert decoded.shape == (40, 60)


def test_reads_the_first_frame() -> None:
    first, second = Image.fromarray(page()), Image.new("L", (60, 40), 0)
    decoded = decode(encode(first, "GIF", save_all=True, append_images=[second]))
    assert np.abs(decoded.astype(int) - page()).mean() < 4


def test_reads_a_bare_codestream_of_jpeg_2000_and_one_in_tiles() -> None:
    bare = encode(Image.fromarray(page()), "JPEG2000", no_jp2=True, tile_size=(32, 32))
    assert bare.startswith(b"\xff\x4f\xff\x51")
    assert np.abs(decode(bare).astype(int) - page()).mean() < 4


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "TIFF"])
def test_says_what_is_cut_short(form: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8))
    data = encode(noise, form)
    assert not is_truncated(data, format_of(data))
    cut = data[: len(data) * 2 // 3]
    assert is_truncated(cut, format_of(data))
    with pytest.raises(BrokenImage, match=f"cut short, and its end is missing after {len(cut):,} bytes"):
        list(imaging.decode(cut))


def tiff(*images: Image.Image, **options: Any) -> bytes:
    return encode(images[0], "TIFF", save_all=True, append_images=images[1:], **options)


def test_reads_every_page_of_a_tiff_with_its_own_size() -> None:
    second = Image.new("RGB", (25, 35), "black")
    first, last = imaging.decode(tiff(Image.fromarray(page()), second, compression="tiff_lzw"))
    np.testing.assert_array_equal(first, page())
    assert last.shape == (35, 25)
    assert last.max() == 0


def test_begins_with_any_page() -> None:
    data = tiff(*[Image.new("L", (60, 40 + number)) for number in range(3)])
    assert [pixels.shape for pixels in imaging.decode(data, first=2)] == [(41, 60), (42, 60)]
    assert list(imaging.decode(data, first=4)) == []


def test_leaves_out_the_small_copies_in_a_tiff() -> None:
    buffer = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(buffer) as writer:
        for kind, size in ((0, (60, 40)), (1, (6, 4)), (0, (50, 30))):
            Image.new("L", size, 255).save(writer, "TIFF", tiffinfo={254: kind})
            writer.newFrame()
    assert [pixels.shape for pixels in imaging.decode(buffer.getvalue())] == [(40, 60), (30, 50)]
    assert imaging.count_pages(buffer.getvalue()) == 2


def test_refuses_too_many_pages() -> None:
    data = tiff(*[Image.new("1", (20, 20))] * 3)
    assert len(list(imaging.decode(data, Limits(max_pages=3)))) == 3
    with pytest.raises(TooLarge, match="2 pages"):
        imaging.decode(data, Limits(max_pages=2))


def test_refuses_a_late_page_of_too_many_pixels_at_once() -> None:
    with pytest.raises(TooLarge, match="30 x 30"):
        imaging.decode(tiff(Image.new("1", (20, 20)), Image.new("1", (30, 30))), Limits(max_pixels=400))


def test_refuses_too_many_bytes() -> None:
    data = encode(Image.fromarray(page()), "PNG")
    decode(data, Limits(max_bytes=len(data)))
    with pytest.raises(TooLarge, match="bytes"):
        decode(data, Limits(max_bytes=len(data) - 1))


def test_refuses_too_many_pixels() -> None:
    data = encode(Image.fromarray(page()), "PNG")
    decode(data, Limits(max_pixels=2400))
    with pytest.raises(TooLarge, match="60 x 40"):
        decode(data, Limits(max_pixels=2399))


def with_scans(times: int) -> bytes:
    """A JPEG whose last scan is there so many times more."""
    data = encode(Image.fromarray(page()), "JPEG", progressive=True)
    assert data.endswith(b"\xff\xd9")
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * times + data[-2:]


def test_refuses_a_jpeg_of_too_many_scans() -> None:
    assert decode(with_scans(20)).shape == (40, 60)
    for cover in (b"", b"\xff\xff", b"\xff\xe0\x00\x06\xff\xd9\xff\xda"):
        data = with_scans(MAX_JPEG_SCANS)
        with pytest.raises(TooLarge, match="100 scans"):
            imaging.decode(data[:2] + cover + data[2:])


def test_what_stands_after_a_jpeg_is_no_scan() -> None:
    data = encode(Image.fromarray(page()), "JPEG", comment=b"\xff\xda" * 200)
    np.testing.assert_array_equal(decode(data + b"\xff\xda" * 200), decode(data))


@pytest.mark.parametrize("side", [9_500, 30_000, 60_000])
def test_refuses_a_bomb_without_decoding_it(side: int) -> None:
    header = struct.pack(">II5B", side, side, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    data += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    with pytest.raises(TooLarge, match="pixels"):
        imaging.decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b"not an image at all",
        b"%!PS-Adobe-3.0",
        b"\x00\x00\x00\x18ftypisom",
        b"<svg/>",
        b"RIFF0000WAVEfmt ",
        b"\x00" * 64,
    ],
)
def test_refuses_other_formats(data: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match="JPEG, PNG"):
        decode(data)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\xef\xbb\xbf\r\n<!DOCTYPE html><html><body>404", "an HTML page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"PK\x03\x04" + bytes(30), "a ZIP archive or an Office document"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
    ],
)
def test_says_what_other_files_are(data: bytes, what: str) -> None:
    with pytest.raises(UnsupportedFormat, match=f"The file is {what}.* Send a JPEG"):
        decode(data)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kept", [0.5, 0.1])
def test_refuses_truncated_files(form: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)
    data = encode(Image.fromarray(noise), form)
    with pytest.raises(BrokenImage, match="damaged"):
        decode(data[: int(len(data) * kept)])


def test_refuses_no_bytes() -> None:
    with pytest.raises(BrokenImage):
        decode(b"")


@pytest.mark.parametrize(
    "form",
    [pytest.param(form, marks=pytest.mark.slow) if form in ALWAYS_CONFINED else form for form in FORMATS],
)
def test_damaged_files_decode_or_are_refused(form: str) -> None:
    rng = np.random.default_rng(1)
    data = np.frombuffer(encode(Image.fromarray(page()).convert("RGB"), form), np.uint8)
    for _ in range(200):
        damaged = data.copy()
        places = rng.integers(0, len(data), 4)
        damaged[places] = rng.integers(0, 256, 4)
        try:
            decoded = decode(damaged.tobytes(), Limits(max_pixels=1_000_000))
        except (BrokenImage, TooLarge, UnsupportedFormat):
            continue
        except ValueError:
            # The change has given the TIFF another page.
            assert form == "TIFF"
            continue
        assert decoded.ndim == 2


@pytest.mark.parametrize(("low", "high"), [(90, 1010), (0, 4095), (3000, 9000)])
def test_sixteen_bits_are_stretched_to_those_that_are_used(low: int, high: int) -> None:
    values = np.linspace(low, high, 60).astype(np.uint16)[None].repeat(40, axis=0)
    decoded = decode(encode(Image.fromarray(values), "PNG"))
    assert decoded[:, 0].max() < 4
    assert decoded[:, -1].min() > 251


def test_the_noise_of_blank_paper_of_sixteen_bits_is_not_stretched() -> None:
    values = np.random.default_rng(0).integers(5000, 5200, (40, 60)).astype(np.uint16)
    assert np.ptp(decode(encode(Image.fromarray(values), "PNG")).astype(int)) < 16


def test_white_writing_on_transparency_is_laid_over_black() -> None:
    pixels = np.full((40, 60, 4), 255, np.uint8)
    pixels[:, :, 3] = 0
    pixels[10:20, 10:50, 3] = 255
    decoded = decode(encode(Image.fromarray(pixels), "PNG"))
    assert decoded[10:20, 10:50].min() == 255
    assert decoded[:8].max() == 0


def test_a_light_sheet_with_dark_writing_on_transparency_is_laid_over_white() -> None:
    pixels = np.full((40, 60, 4), 255, np.uint8)
    pixels[:, :20, 3] = 0
    pixels[10:20, 30:50, :3] = 0
    assert decode(encode(Image.fromarray(pixels), "PNG"))[:, :20].min() == 255


@pytest.mark.parametrize(
    ("dpi", "orientation", "aspect"),
    [((204, 98), 1, 204 / 98), ((204, 98), 6, 98 / 204), ((300, 300), 1, 1), ((300, 299), 1, 1), ((1, 900), 1, 1)],
)
def test_the_shape_of_pixels_is_what_the_resolution_says(dpi: tuple[int, int], orientation: int, aspect: float) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(page()), "JPEG", dpi=dpi, exif=exif)
    (decoded,) = decode_pages(data)
    assert decoded.pixel_aspect == pytest.approx(aspect)


@pytest.mark.parametrize("name", ["WEBP", "PNG", "BMP"])
def test_the_last_page_is_read_without_its_decoder(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoder of a WebP keeps nine times the memory of the page."""
    opened: list[weakref.ref[Image.Image]] = []

    def open_and_watch(*arguments: Any) -> ImageFile:
        file = open_file(*arguments)
        opened.append(weakref.ref(file.image))
        return file

    monkeypatch.setattr(imaging, "open_file", open_and_watch)
    pages = imaging.decode(encode(Image.fromarray(page()), name))
    assert next(pages).shape == (40, 60)
    assert [image() for image in opened] == [None]
    assert list(pages) == []
