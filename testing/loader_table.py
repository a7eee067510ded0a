"""Every kind of loader, declared once: of arrays, items and streams, with all that draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import tt_tensor as tt
from tt_data import (
    Compose,
    ConcatDataset,
    Cutout,
    DataLoader,
    Dataset,
    IterableDataset,
    Normalize,
    OneHot,
    RandomCrop,
    RandomHorizontalFlip,
    RandomTranslate,
    Subset,
    TensorDataset,
    ToFloat,
    TokenBlocks,
    Transform,
    WeightedRandomSampler,
)
from tt_tensor.seam import for_rows

Loader = DataLoader[Any]
Make = Callable[..., Loader]

IMAGES = np.random.default_rng(0).integers(0, 256, (23, 2, 6, 6), dtype=np.uint8)
LABELS = np.arange(23) % 4
ARRAYS = TensorDataset(IMAGES, LABELS)


def noise(count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return tt.rand(count, 1, 1, 1).numpy()


# What is done to images, each with what its result is compared by: nothing but its bits.
TRANSFORMS: dict[str, Transform] = {
    "flip": RandomHorizontalFlip(),
    "crop": RandomCrop(5, padding=1),
    "crop reflected": RandomCrop((3, 6), padding=1, padding_mode="reflect"),
    "translate": RandomTranslate((1, 2)),
    "cutout": Cutout(3),
    "float": ToFloat(),
    "normalize": Compose([ToFloat(), Normalize([0.1, 0.2], 0.5)]),
    "all": Compose(
        [RandomCrop(6, 1), RandomHorizontalFlip(), Cutout(2), RandomTranslate(1), ToFloat()]
    ),
    "drawing by rows": Compose(
        [ToFloat(), lambda x: x + tt.from_numpy(for_rows(len(x), noise)), RandomHorizontalFlip()]
    ),
}


class Items(Dataset[dict[str, Any]]):
    """Items one by one, which draw from the default generator as often as `draws` says."""

    def __init__(self, draws: Callable[[int], int] = lambda index: 0) -> None:
        self.draws = draws

    def __len__(self) -> int:
        return 23

    def __getitem__(self, index: int, /) -> dict[str, Any]:
        return {
            "noise": sum((tt.rand(2) for _ in range(self.draws(index))), tt.zeros(2)),
            "name": f"item {index}",
            "number": (index, 0.5 * index),
        }


class Images(Dataset[tuple[tt.Tensor, int]]):
    """Images one by one, which may draw."""

    def __init__(self, draws: Callable[[int], int] = lambda index: 0) -> None:
        self.draws = draws

    def __len__(self) -> int:
        return 23

    def __getitem__(self, index: int, /) -> tuple[tt.Tensor, int]:
        image = tt.from_numpy(IMAGES[index].astype(np.float32))
        for _ in range(self.draws(index)):
            image = image + tt.rand(1)
        return image, index % 4


class Stream(IterableDataset[tuple[tt.Tensor, int]]):
    """A stream that draws from the default generator."""

    def __iter__(self) -> Iterator[tuple[tt.Tensor, int]]:
        return ((tt.from_numpy(IMAGES[i]) + tt.rand(1), i % 4) for i in range(23))


def stacked(items: Sequence[tuple[tt.Tensor, int]]) -> tuple[tt.Tensor, tt.Tensor]:
    """A collate function of the user's, which draws."""
    images = np.stack([image.numpy() for image, _ in items])
    shift = for_rows(len(items), noise)
    return tt.from_numpy(images + shift), tt.tensor([label for _, label in items])


def loader_of(dataset: Any, *given: Any, **fixed: Any) -> Make:
    def make(seed: int, **options: Any) -> Loader:
        make_loader: Any = DataLoader
        loader: Loader = make_loader(
            dataset, *given, generator=tt.Generator(seed), **fixed, **options
        )
        return loader

    return make


def with_sampler(seed: int, **options: Any) -> Loader:
    sampler = WeightedRandomSampler([1.0, 2.0] * 10, 21, generator=tt.Generator(seed + 5))
    return DataLoader(ARRAYS, 4, sampler=sampler, generator=tt.Generator(seed), **options)


AUGMENT = TRANSFORMS["all"]
ALWAYS, SOMETIMES = (lambda index: 1), (lambda index: index % 5 == 0)
LOADERS: dict[str, Make] = {
    **{
        f"arrays, {name}": loader_of(ARRAYS, 4, True, transform=transform)
        for name, transform in TRANSFORMS.items()
    },
    "arrays in order": loader_of(ARRAYS, 4),
    "labels": loader_of(ARRAYS, 4, True, target_transform=OneHot(4), transform=AUGMENT),
    "without the last": loader_of(ARRAYS, 4, True, drop_last=True, transform=AUGMENT),
    "one item at a time": loader_of(ARRAYS, 1, True, transform=AUGMENT),
    "a sampler": with_sampler,
    "batches of the user's": loader_of(
        ARRAYS, batch_sampler=[[1, 2, 3], [22], [-1, 0]], transform=AUGMENT
    ),
    "a concatenation": loader_of(
        Subset(ConcatDataset([ARRAYS, ARRAYS]), range(1, 40, 3)), 4, True, transform=AUGMENT
    ),
    "blocks of tokens": loader_of(TokenBlocks(range(23), 4), 5, True),
    "items": loader_of(Items(), 4, True),
    "items that draw": loader_of(Items(ALWAYS), 4, True),
    "items that draw sometimes": loader_of(Items(SOMETIMES), 4, True),
    "images one by one": loader_of(Images(), 4, True, transform=AUGMENT),
    "images that draw": loader_of(Images(ALWAYS), 4, True, transform=AUGMENT),
    "images that draw sometimes": loader_of(Images(SOMETIMES), 4, True, transform=AUGMENT),
    "some of images that draw": loader_of(
        ConcatDataset([Subset(Images(ALWAYS), range(9)), Images()]), 4, True, transform=AUGMENT
    ),
    "a function": loader_of(Images(SOMETIMES), 4, True, collate_fn=stacked, transform=AUGMENT),
    "a function of arrays": loader_of(ARRAYS, 4, collate_fn=stacked, transform=AUGMENT),
    "numbers": loader_of([1.0, 2.0, 3.0, 4.0, 5.0], 2, True),
    "a stream": loader_of(Stream(), 4, transform=AUGMENT),
    "a stream without the last": loader_of(Stream(), 4, drop_last=True),
    "a stream and a function": loader_of(Stream(), 4, collate_fn=stacked, transform=AUGMENT),
}
