"""How byte-pair encoding learns which tokens to merge."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import pairwise

Pair = tuple[int, int]

# The bytes in the order of their ids, which is that of GPT-2: those that print come first.
_PRINTING = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTES = bytes([*_PRINTING, *sorted({*range(256)} - {*_PRINTING})])
TO_IDS = bytes.maketrans(BYTES, bytes(range(256)))

MOST_TOKEN_BYTES = 1 << 24  # of all tokens together, which merges could double each time


def learn_merges(words: Mapping[bytes, int], most: int, min_frequency: int) -> list[Pair]:
    """Learn which pairs of tokens to merge, the most frequent first.

    The counts of all pairs are kept up to date: a merge visits only the words that have the pair.
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
    spelled = [list(word.translate(TO_IDS)) for word in words]  # the ids of each word's tokens
    frequency = list(words.values())
    counts = Counter[Pair]()
    places = defaultdict[Pair, set[int]](set)  # the words that have, or once had, a pair
    for i, ids in enumerate(spelled):
        for pair in pairwise(ids):
            counts[pair] += frequency[i]
            places[pair].add(i)
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
        for i in places.pop(pair):
            spelled[i], changes = merged(spelled[i], pair, token)
            for other, change in changes:
                counts[other] += change * frequency[i]
                if change > 0:
                    places[other].add(i)
                    made.add(other)
        del counts[pair]
        for other in made:
            heapq.heappush(heap, (-counts[other], other))
    return merges


def merged(ids: list[int], pair: Pair, token: int) -> tuple[list[int], list[tuple[Pair, int]]]:
    """Put a token in the place of each occurrence of a pair in a word, from the left on.

    Returns:
        The new ids, and what changes in the counts of other pairs: -1 or 1 for one.
    """
    left, right = pair
    result: list[int] = []
    changes: list[tuple[Pair, int]] = []
    i, last = 0, len(ids) - 1
    while i <= last:
        if ids[i] != left or i == last or ids[i + 1] != right:
            result.append(ids[i])
            i += 1
            continue
        if result:
            changes += [((result[-1], left), -1), ((result[-1], token), 1)]
        if i + 2 <= last:
            changes += [((right, ids[i + 2]), -1), ((token, ids[i + 2]), 1)]
        result.append(token)
        i += 2
    return result, changes
