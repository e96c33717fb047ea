"""Work beside the network: reading what it gets next, decoding what it has made."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import torch

if TYPE_CHECKING:
    from napari_unetic.networks.device import Device

Result = TypeVar("Result")


def may_work_beside(device: Device) -> bool:
    """Whether other work may go on while the network runs on a device.

    Who gives torch one thread on a CPU wants one core taken, and gets that.
    """
    return device.name != "cpu" or torch.get_num_threads() > 1


class Beside:
    """Does work in its order, in a thread of its own or, where none may be, at once.

    Parameters
    ----------
    is_threaded : bool
        Whether there may be a thread.
    """

    def __init__(self, *, is_threaded: bool):
        self._pool = ThreadPoolExecutor(1) if is_threaded else None
        self._last: Future[object] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def is_threaded(self) -> bool:
        """Whether work goes on beside that of the caller."""
        return self._pool is not None

    def start(self, work: Callable[[], Result]) -> Future[Result]:
        """Begin some work, or do it, and return what will hold its result."""
        if self._pool is not None:
            return self._pool.submit(work)
        done: Future[Result] = Future()
        done.set_result(work())
        return done

    def follow(self, work: Callable[[], object]) -> None:
        """Begin some work once the one before is done; raises what that has raised.

        So no more than one piece of work is ever waited for, with what it holds.
        """
        self.wait()
        self._last = self.start(work)

    def wait(self) -> None:
        """Wait until all that was to follow is done; raises what it has raised."""
        if self._last is not None:
            last, self._last = self._last, None
            last.result()
