"""Decoded pictures of a few-shot list, kept in memory as far as a budget allows."""

import itertools
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor

from PIL import Image
from torchvision.transforms import CenterCrop, Compose, Resize

from upt_clip import cache
from upt_clip.pictures import read_image

BYTES_PER_PIXEL = 4  # Pillow's RGB
MB = 1_000_000


class KeptPictures:
    """The items of a Dassl `DatasetWrapper`, from pictures that are decoded once: all of them, or none.

    What the transform does first and without chance (resizing, a centre crop) is done once, too.
    """

    def __init__(self, items, n_workers: int, budget_mb: int):
        self.data_source, self.budget_mb = items.data_source, budget_mb
        steps = items.transform.transforms
        fixed = list(itertools.takewhile(lambda step: isinstance(step, (Resize, CenterCrop)), steps))
        self.once, self.each_time = Compose(fixed), Compose(steps[len(fixed) :])
        size = fixed[-1].size if fixed else ()
        self.fixed_size = tuple(size) if isinstance(size, (list, tuple)) and len(size) == 2 else None
        # Where worker processes are no copies of this one, each gets pictures of its own.
        self.n_copies = 1 if multiprocessing.get_start_method() == "fork" else n_workers + 1
        self.pictures: list[Image.Image | None] | None = None  # None: not loaded yet

    @staticmethod
    def can_serve(items) -> bool:
        """Whether the items are one picture each, made by one pipeline of transforms."""
        one_view = getattr(items, "k_tfm", 0) == 1 and not items.return_img0
        return one_view and isinstance(items.transform, Compose) and bool(items.transform.transforms)

    def __getitem__(self, index: int) -> dict | None:
        """What `items[index]` would be, or None if its picture is not kept."""
        picture = self.pictures[index] if self.pictures else None
        if picture is None:
            return None
        item = self.data_source[index]
        about = {"label": item.label, "domain": item.domain, "impath": item.impath, "index": index}
        return {**about, "img": self.each_time(picture.copy())}  # a copy, since some transforms draw into it

    def load(self) -> None:
        """Decodes all pictures with several threads if they fit the budget; the first call alone does anything."""
        if self.pictures is not None:
            return
        self.pictures = []
        if cache.is_off():
            return
        paths = [item.impath for item in self.data_source]
        if not self._fit(paths):
            print(f"Pictures are read anew each epoch: {len(paths)} take more than DATALOADER.KEEP_MB {self.budget_mb}")
            return
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            self.pictures = list(threads.map(self._read, paths))

    def _fit(self, paths: list[str]) -> bool:
        """Looks at the pictures' headers, no further than the budget reaches."""
        left = self.budget_mb * MB / self.n_copies
        for path in paths:
            width, height = self.fixed_size or _size(path)
            left -= width * height * BYTES_PER_PIXEL
            if left < 0:
                return False
        return True

    def _read(self, path: str) -> Image.Image | None:
        """None if it cannot be read: whoever asks for the item gets the error."""
        try:
            return self.once(read_image(path))
        except (ValueError, OSError):
            return None


def _size(path: str) -> tuple[int, int]:
    """Width and height by the file's header; no pixels if it has none that can be read."""
    try:
        with Image.open(path) as picture:
            return picture.size
    except Exception:  # damaged files raise almost anything
        return 0, 0
