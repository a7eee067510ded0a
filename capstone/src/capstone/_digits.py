"""The data: digits to learn from, to choose by, and to be judged by."""

from __future__ import annotations

from dataclasses import dataclass

import tt_data
import tt_tensor as tt

CUT = 0  # the seed of the cut, which is the same in every run
SCALE, MEAN, STD = 16, 0.305, 0.376  # the largest pixel; mean and deviation of all, thus scaled


@dataclass(frozen=True, slots=True)
class Images:
    """Images that are ready for a model, and what they are.

    Attributes:
        inputs: ``(N, 1, 8, 8)``, of mean 0 and deviation 1 over all digits.
        labels: ``(N,)``, from 0 to 9.
    """

    inputs: tt.Tensor
    labels: tt.Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Digits:
    """The digits in three parts that have no image in common.

    Attributes:
        seen: What a model learns from.
        validation: What choices are made by: the best epoch, the way to make a model small.
        held_out: What is looked at once, at the end.
    """

    seen: Images
    validation: Images
    held_out: Images


def read_digits() -> Digits:
    """Read the 1,797 digits that ship with tt-data, and cut them 70 : 10 : 20.

    The cut does not depend on any seed but `CUT`: no run may learn from what another is judged by.
    Pixels from 0 to 16 become ``(pixel / SCALE - MEAN) / STD``.

    Returns:
        The three parts.

    Example:
        >>> digits = read_digits()
        >>> len(digits.seen), len(digits.validation), len(digits.held_out)
        (1258, 180, 359)
        >>> digits.seen.inputs.shape
        (1258, 1, 8, 8)
    """
    whole = tt_data.Digits()
    prepare = tt_data.Compose([tt_data.ToFloat(SCALE), tt_data.Normalize(MEAN, STD)])
    parts = tt_data.random_split(whole, [0.7, 0.1, 0.2], tt.Generator(CUT))
    loaders = [tt_data.DataLoader(part, len(part), transform=prepare) for part in parts]
    return Digits(*(Images(*next(iter(loader))) for loader in loaders))
