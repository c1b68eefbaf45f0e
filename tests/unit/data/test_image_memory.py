"""Images that are decoded side by side stay within a budget; a large one goes alone."""

from __future__ import annotations

import io
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.image_files import class_folders, encoded, noise
from trainer.core.errors import InputError
from trainer.core.memory import MemoryBudget, free_bytes, parse_size, peak_bytes
from trainer.data import image_memory
from trainer.data.bit_depth import ScaledImage
from trainer.data.decode import MAX_PIXELS, DecodeError, decode
from trainer.data.load import load
from trainer.data.thumbnails import thumbnails


class Observed(MemoryBudget):
    """A budget that remembers the most bytes and the most users at a time."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.most_bytes = self.most_users = self._users = self._bytes = 0
        self._lock = threading.Lock()

    def entered(self, size: int) -> None:
        with self._lock:
            self._users, self._bytes = self._users + 1, self._bytes + size
            self.most_users = max(self.most_users, self._users)
            self.most_bytes = max(self.most_bytes, self._bytes)

    def left(self, size: int) -> None:
        with self._lock:
            self._users, self._bytes = self._users - 1, self._bytes - size


@pytest.mark.parametrize(
    ("sizes", "most_users"), [([60] * 8, 1), ([200] * 4, 1), ([10, 200, 10, 60, 30] * 4, 10)]
)
def test_a_budget_is_kept_and_what_exceeds_it_goes_alone(sizes: list[int], most_users: int) -> None:
    budget = Observed(100)

    def use(size: int) -> None:
        with budget.reserved(size):
            budget.entered(size)
            threading.Event().wait(0.002)
            budget.left(size)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, sizes))
    assert budget.most_bytes <= max(100, *sizes)
    assert budget.most_users <= most_users


def test_what_fits_goes_side_by_side_and_an_error_gives_its_memory_back() -> None:
    budget = MemoryBudget(100)
    both = threading.Barrier(2, timeout=10)  # passed only while both hold their memory

    def use(_: int) -> None:
        with budget.reserved(50):
            both.wait()
            raise KeyError

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(use, i) for i in range(2)]:
            with pytest.raises(KeyError):
                done.result()
    with budget.reserved(100):
        pass


def png_header(width: int, height: int) -> bytes:
    """A PNG without pixels."""
    chunks = (b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in chunks
    )


def test_the_memory_of_an_image_is_known_from_its_header(tmp_path: Path) -> None:
    large = png_header(12_000, 9_900)
    (tmp_path / "large.png").write_bytes(large)
    needed = image_memory.decoding_bytes(tmp_path / "large.png")
    assert 7 * 12_000 * 9_900 < needed < 12 * 12_000 * 9_900
    assert image_memory.decoding_bytes(large) == needed
    assert image_memory.decoding_bytes(ScaledImage(large, "", 12)) > 2 * needed
    refused = [png_header(12_001, MAX_PIXELS // 12_000), b"", b"no image", tmp_path / "absent.png"]
    assert max(image_memory.decoding_bytes(one) for one in refused) < 100


def test_a_jpeg_that_is_decoded_at_a_fraction_takes_that_alone() -> None:
    photo = encoded(Image.new("RGB", (4_000, 3_000)), kind="JPEG")
    small, whole = (image_memory.decoding_bytes(photo, min_side=side) for side in (256, None))
    assert small < whole / 50
    progressive = encoded(Image.new("RGB", (4_000, 3_000)), kind="JPEG", progressive=True)
    assert image_memory.decoding_bytes(progressive, min_side=256) > 10 * small


def test_a_small_budget_changes_no_result(tmp_path: Path) -> None:
    manifest = load(str(class_folders(tmp_path, {"a": 8, "b": 8})), seed=0)
    usual = thumbnails(manifest, range(16))
    image_memory.use(MemoryBudget(1))
    try:
        assert thumbnails(manifest, range(16)) == usual
    finally:
        image_memory.set_limit(None)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "L", "P", "1", "CMYK"])
def test_converting_in_strips_is_converting_the_whole(mode: str) -> None:
    image = Image.fromarray(noise(0, height=700, width=2_000)).convert(mode)
    data = encoded(image, kind="TIFF" if mode == "CMYK" else "PNG")
    with Image.open(io.BytesIO(data)) as opened:
        whole = opened.convert("RGBA" if "A" in mode else "RGB")
    if mode in ("RGBA", "LA"):
        whole = Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole)
    assert np.array_equal(decode(data), np.asarray(whole.convert("RGB")))


def test_a_file_that_is_too_large_to_be_an_image_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "x.png").open("wb") as file:
        file.write(png_header(8, 8))
        file.truncate(40 << 30)
    with pytest.raises(DecodeError, match="42,949,672,960 bytes, the limit is 1,073,741,824"):
        decode(tmp_path / "x.png")


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GB", 2 << 30), ("1.5 GiB", 3 << 29), ("500m", 500 << 20), ("4096", 4096), ("1K", 1024)],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text, flag="--x") == size


@pytest.mark.parametrize("text", ["", "0", "-1GB", "two", "2XB", "nan", "1e9", "9" * 99])
def test_what_is_no_size_is_refused_by_its_flag(text: str) -> None:
    with pytest.raises(InputError, match=r"--max-memory is .*it must be a size, such as 2GB"):
        image_memory.set_limit(text)


def test_memory_is_measured() -> None:
    assert free_bytes() > 0
    assert peak_bytes() > 10 << 20
