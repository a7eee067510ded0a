"""Gradients on their way: flat buffers that set out while backward still runs."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tt_autograd import Tensor

from ._world import Request, World

Array = NDArray[Any]


class _Bucket:
    """Neighbouring parameters whose gradients travel together.

    Attributes:
        members: The numbers of its parameters.
        places: The part of the buffer that is each one's, in the shape of the parameter.
        buffer: The gradients, flat.
        missing: How many of them are not in the buffer yet.
        sent: Whether it has set out.
    """

    def __init__(self, members: Sequence[int], params: Sequence[Tensor]) -> None:
        self.members = members
        arrays = [params[i]._array for i in members]
        ends = np.cumsum([0, *(array.size for array in arrays)]).tolist()
        dtype = arrays[0].dtype
        # MPI cannot add up half precision.
        self.buffer = np.zeros(ends[-1], np.float32 if dtype == np.float16 else dtype)
        # As the parameter lies in memory, so that its update finds both in the same order.
        self.places = [
            self.buffer[start:stop].reshape(array.shape, order="F" if array.flags.fnc else "C")
            for array, start, stop in zip(arrays, ends[:-1], ends[1:], strict=True)
        ]
        self.missing = len(members)
        self.sent = False


class Buckets:
    """The gradients of parameters, summed over all ranks in a few messages.

    A bucket sets out, without anyone waiting for it, as soon as all its gradients are there and
    the buckets before it have set out: backward comes to the last layers first, and so do they.

    Args:
        params: The parameters, in the order of the model.
        world: The processes.
        capacity: Bytes of a bucket; a larger parameter has one of its own.

    Attributes:
        bytes: What one rank has to add up in a step.
        waited: Seconds in which there was nothing to do but wait, so far.
        sent: Buckets that set out, so far.
        hidden: Those of them that were there when backward ended: nobody waited for them.
    """

    def __init__(self, params: Sequence[Tensor], world: World, capacity: int) -> None:
        self.params = params
        self.world = world
        self.waited, self.sent, self.hidden = 0.0, 0, 0
        self._buckets: list[_Bucket] = []
        self._where: dict[int, tuple[_Bucket, int]] = {}  # of a parameter: its bucket and place
        members: list[int] = []
        filled = 0
        for i in reversed(range(len(params))):
            size, dtype = params[i]._array.nbytes, params[i].dtype
            if members and (filled + size > capacity or dtype != params[members[0]].dtype):
                self._close(members)
                members, filled = [], 0
            members.append(i)
            filled += size
        if members:
            self._close(members)
        self.bytes = sum(bucket.buffer.nbytes for bucket in self._buckets)
        self._used = np.zeros(len(params), np.int32)  # by how many ranks
        self._requests: list[Request] = []

    def __len__(self) -> int:
        return len(self._buckets)

    def _close(self, members: list[int]) -> None:
        bucket = _Bucket(members, self.params)
        self._buckets.append(bucket)
        self._where.update({i: (bucket, k) for k, i in enumerate(members)})

    def begin(self) -> None:
        """Begin a step: no gradient is there yet."""
        self._used[:] = 0
        self._requests = []
        for bucket in self._buckets:
            bucket.missing, bucket.sent = len(bucket.members), False

    def take(self, i: int) -> None:
        """Take the gradient of a parameter, which is whole now, and send what is complete.

        Raises:
            RuntimeError: It has set out already: backward ran twice in a step.
        """
        bucket, place = self._where[i]
        if bucket.sent:
            raise RuntimeError(
                "a gradient changed after it was sent: backward ran a second time inside one step; "
                "add the losses up, or put all but the last step into no_sync()"
            )
        if not self._used[i]:
            bucket.missing -= 1
        self._put(bucket, place, i)
        self._send()
        if self._requests:
            self.world.progress(self._requests)

    def _put(self, bucket: _Bucket, place: int, i: int) -> None:
        self._used[i] = 1
        grad = self.params[i].grad
        assert grad is not None
        if grad._array is not bucket.places[place]:
            bucket.places[place][...] = grad._array

    def _send(self) -> None:
        """Send the buckets that are complete, in their order, which is that of every rank."""
        for bucket in self._buckets[len(self._requests) :]:
            if bucket.missing:
                break
            self._requests.append(self.world.start_all_reduce(bucket.buffer))
            bucket.sent = True
            self.sent += 1

    def finish(self) -> None:
        """Send what is left, wait for the sums, and make them the parameters' gradients.

        A parameter that no rank has used keeps no gradient.

        Raises:
            RuntimeError: No rank has used any.
        """
        self.hidden += sum(self.world.progress([request]) for request in self._requests)
        for bucket in self._buckets[len(self._requests) :]:
            for place, i in enumerate(bucket.members):
                if self._used[i]:
                    continue
                if self.params[i].grad is None:
                    bucket.places[place][...] = 0
                else:  # of an earlier step that was not synchronised
                    self._put(bucket, place, i)
            bucket.missing = 0
        self._send()
        self._requests.append(self.world.start_all_reduce(self._used))
        start = perf_counter()
        self.world.wait(self._requests)
        self.waited += perf_counter() - start
        if not self._used.any():
            raise RuntimeError(
                "no gradient has come in this step, on any rank: call backward inside its block"
            )
        for bucket in self._buckets:
            for place, i in enumerate(bucket.members):
                if self._used[i]:
                    summed = bucket.places[place].astype(self.params[i].dtype, copy=False)
                    self.params[i].grad = Tensor._wrap(summed)
