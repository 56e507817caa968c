"""Pictures of every kind: those that can be read are read right, the others are named in one line."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from dassl.data import data_manager  # as the data loaders read
from PIL import Image

from tests.trees import picture
from upt_clip.pictures import open_picture
from upt_clip.tools.use import predict

RED = (200, 30, 10)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width: int, height: int, bits: int, colour_type: int, data: bytes = b"") -> bytes:
    """A PNG file with this header, whatever it holds."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def sixteen_bits(*channels: int) -> bytes:
    """The rows of an 8 x 8 picture of one colour, in PNG's order."""
    return (b"\0" + struct.pack(f">{8 * len(channels)}H", *channels * 8)) * 8


def exif(orientation: int) -> Image.Exif:
    facts = Image.Exif()
    facts[0x0112] = orientation
    return facts


red, half_red = Image.new("RGB", (8, 8), RED), Image.new("RGBA", (8, 8), (*RED, 128))
two_colours = Image.new("RGB", (16, 8), RED)
two_colours.paste((0, 0, 255), (8, 0, 16, 8))

# file -> the colour of its first pixel, to 3 of 255
READABLE = {
    "JPEG": (saved(red, "JPEG", quality=95, subsampling=0), RED),
    "grey": (saved(Image.new("L", (8, 8), 77), "PNG"), (77, 77, 77)),
    "black and white": (saved(Image.new("1", (8, 8), 1), "PNG"), (255, 255, 255)),
    "16-bit grey": (saved(Image.fromarray(np.full((8, 8), 77 * 257, np.uint16)), "PNG"), (77, 77, 77)),
    "16-bit grey TIFF": (saved(Image.fromarray(np.full((8, 8), 200 * 257, np.uint16)), "TIFF"), (200, 200, 200)),
    "16-bit colours": (png(8, 8, 16, 2, sixteen_bits(*(257 * c for c in RED))), RED),
    "16-bit grey with alpha": (png(8, 8, 16, 4, sixteen_bits(77 * 257, 9999)), (77, 77, 77)),
    "CMYK": (saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95), (255, 0, 0)),
    "palette": (saved(red.quantize(4), "PNG"), RED),
    "palette with a transparent colour": (saved(red.quantize(4), "PNG", transparency=0), RED),
    "RGBA": (saved(half_red, "PNG"), RED),
    "grey with alpha": (saved(Image.new("LA", (8, 8), (77, 0)), "PNG"), (77, 77, 77)),
    "turned by EXIF, which is not applied": (saved(two_colours, "PNG", exif=exif(3)), RED),
    "animated GIF": (saved(red, "GIF", save_all=True, append_images=[Image.new("RGB", (8, 8))]), RED),
    "animated WebP": (saved(red, "WEBP", save_all=True, append_images=[Image.new("RGB", (8, 8))], quality=95), RED),
    "BMP": (saved(red, "BMP"), RED),
    "one pixel": (saved(Image.new("RGB", (1, 1), RED), "PNG"), RED),
    "strip": (saved(Image.new("RGB", (600, 1), RED), "PNG"), RED),
}  # fmt: skip


@pytest.mark.parametrize("kind", READABLE)
def test_what_can_be_read_is_read_right(tmp_path, kind):
    content, colour = READABLE[kind]
    path = tmp_path / "picture.jpg"  # the content counts, not the name
    path.write_bytes(content)
    for read in (data_manager.read_image, open_picture):
        image = read(str(path))
        assert image.mode == "RGB"
        assert np.abs(np.subtract(image.getpixel((0, 0)), colour)).max() <= 3, image.getpixel((0, 0))


JPEG = picture(0)
# file -> what the one line says beside the file's name
UNREADABLE = {
    "empty": (b"", "the file is empty"),
    "cut off": (JPEG[: len(JPEG) // 2], "runcated"),
    "cut off in the header": (JPEG[:10], "picture"),
    "text": (b"no picture", "no picture"),
    "a page": (b"<html><body>404 Not Found</body></html>", "no picture"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "no picture"),
    "a pickle": (b"\x80\x04cos\nsystem\n(S'true'\ntR.", "no picture"),
    "32-bit floats": (saved(Image.new("F", (8, 8), 0.5), "TIFF"), "32-bit pixels"),
    "decompression bomb": (png(30000, 30000, 8, 2), "decompression bomb"),
    "PNG with less than it says": (png(64, 64, 8, 2, b"\0" * 100), "picture"),
    "strip that would fill the memory": (png(60000, 1, 8, 0, b"\0" * 60001), "60000 x 1 pixels"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read_ends_the_training_with_its_name(world, kind):
    content, words = UNREADABLE[kind]
    path = world.a_picture()
    path.write_bytes(content)
    world.train().refused(f"cannot read the picture {path}", words)


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read_is_named_by_predict_which_goes_on(trained, end_tool, tmp_path, kind):
    (tmp_path / "bad.jpg").write_bytes(UNREADABLE[kind][0])
    (tmp_path / "good.jpg").write_bytes(JPEG)
    ended = end_tool(predict.main, trained["CoOp"], tmp_path)
    assert ended.status == 1 and "Traceback" not in ended.err
    assert len(ended.out.splitlines()) == 1 and ended.out.startswith(f"{tmp_path}/good.jpg\t")
    (line,) = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    assert f"{tmp_path}/bad.jpg" in line and UNREADABLE[kind][1] in line


@pytest.mark.parametrize("bad", ["missing", "folder", "pipe"])
def test_a_picture_that_is_none(world, bad):
    path = world.a_picture()
    path.unlink()
    if bad == "folder":
        path.mkdir()
    elif bad == "pipe":  # which nobody writes to
        os.mkfifo(path)
    world.train().refused(path.name)


def test_an_unreadable_picture_in_a_worker_process_is_one_line_too(world):
    path = world.a_picture()
    path.write_bytes(b"no picture")
    world.train("DATALOADER.NUM_WORKERS", "1").refused(f"cannot read the picture {path} (no picture")


def test_pictures_of_all_kinds_train(world):
    for i, (content, _) in enumerate(READABLE.values()):
        for name in ("red", "blue"):
            path = world.root / "data/mine" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    world.train("DATASET.NAME", "FolderDataset", "DATASET.FOLDER", "mine", "DATASET.NUM_SHOTS", "-1").worked("accuracy")
