"""How byte-pair encoding learns which tokens to merge."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

Pair = tuple[int, int]

# The bytes in the order of their ids, which is that of GPT-2: those that print come first.
_PRINTING = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTES = bytes([*_PRINTING, *sorted({*range(256)} - {*_PRINTING})])
TO_IDS = bytes.maketrans(BYTES, bytes(range(256)))

MOST_TOKEN_BYTES = 1 << 24  # of all tokens together, which merges could double each time

END, GONE = -1, -2  # in place of a token: behind the last one of a word, and where none is left


class Chain:
    """The tokens of words one after the other, in which neighbours know each other's places.

    Attributes:
        ids: The token at each place, at first those of bytes; `END` behind each word.
    """

    def __init__(self, words: Iterable[bytes]) -> None:
        self.ids = [i for word in words for i in (*word.translate(TO_IDS), END)]
        self._before = list(range(-1, len(self.ids) - 1))  # -1 is the last place, an END too
        self._after = list(range(1, len(self.ids) + 1))

    def merge(
        self, pair: Pair, token: int, places: Iterable[int]
    ) -> Iterator[tuple[Pair, int, int]]:
        """Put a token in the place of a pair, at those of some places where the pair still is.

        Args:
            pair: The pair.
            token: The token.
            places: The places of the left one of the pair, in ascending order: of pairs that
                overlap the first is merged.

        Yields:
            What changes: another pair, the place of its left one, and -1 or 1, by which there are
            more of it.
        """
        ids, before, after = self.ids, self._before, self._after
        left, right = pair
        for i in places:
            j = after[i]
            if ids[i] != left or ids[j] != right:
                continue
            h, k = before[i], after[j]
            ids[i], ids[j] = token, GONE
            after[i], before[k] = k, i
            if ids[h] != END:
                yield (ids[h], left), h, -1
                yield (ids[h], token), h, 1
            if ids[k] != END:
                yield (right, ids[k]), j, -1
                yield (token, ids[k]), i, 1


def learn_merges(words: Mapping[bytes, int], most: int, min_frequency: int) -> list[Pair]:
    """Learn which pairs of tokens to merge, the most frequent first.

    The counts of all pairs are kept up to date: a merge visits only the places that have the pair.
    A heap holds the pairs by count. Counts that fell since a pair was put there are corrected when
    it comes to the top; pairs that a merge makes are put there at once.

    Args:
        words: The words and how often each occurs. No merge goes beyond a word.
        most: How many merges to learn at most.
        min_frequency: How often a pair must occur.

    Returns:
        The pairs of ids. The n-th, from 0, makes the token with the id 256 + n. Of pairs that are
        equally frequent the one with the lower ids comes first.
    """
    chain = Chain(words)
    frequency = [count for word, count in words.items() for _ in range(len(word) + 1)]
    counts = Counter[Pair]()
    # Where a pair is, or once was; ascending, since a pair is made by one merge, from the left on.
    places = defaultdict[Pair, list[int]](list)
    for i, pair in enumerate(pairwise(chain.ids)):
        if pair[0] != END != pair[1]:
            counts[pair] += frequency[i]
            places[pair].append(i)
    heap = [(-count, pair) for pair, count in counts.items()]
    heapq.heapify(heap)

    merges: list[Pair] = []
    lengths = [1] * 256
    room = MOST_TOKEN_BYTES - len(lengths)
    while heap and len(merges) < most:
        count, pair = heapq.heappop(heap)
        if -count != counts[pair]:
            heapq.heappush(heap, (-counts[pair], pair))
            continue
        if -count < min_frequency:
            break
        length = lengths[pair[0]] + lengths[pair[1]]
        if length > room:
            continue
        token = 256 + len(merges)
        merges.append(pair)
        lengths.append(length)
        room -= length
        made = set[Pair]()
        for other, i, change in chain.merge(pair, token, places.pop(pair)):
            counts[other] += change * frequency[i]
            if change > 0:
                places[other].append(i)
                made.add(other)
        del counts[pair]
        for other in made:
            heapq.heappush(heap, (-counts[other], other))
    return merges
