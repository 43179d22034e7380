"""Frames through several threads, in order, with a bounded number of them in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

Worker = TypeVar("Worker")
Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    items: Iterable[Item],
    make_worker: Callable[[], Worker],
    work: Callable[[Worker, Item], Result],
    threads: int,
) -> Iterator[Result]:
    """Apply ``work`` to every item in ``threads`` threads and yield the results in the items' order.

    Parameters
    ----------
    items : iterable
        Taken in the calling thread, a few ahead of the results.
    make_worker : callable
        Makes the working memory of a thread.
    work : callable
        Gets a worker that no other thread uses meanwhile, and an item.
    threads : int
        Number of threads.

    Yields
    ------
    Result
        An error in ``work`` is raised where its result would stand; later items are dropped.
    """
    workers: SimpleQueue[Worker] = SimpleQueue()
    for _ in range(threads):
        workers.put(make_worker())

    def run(item: Item) -> Result:
        worker = workers.get()
        try:
            return work(worker, item)
        finally:
            workers.put(worker)

    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="frames") as pool:
        try:
            for item in items:
                pending.append(pool.submit(run, item))
                if len(pending) > 2 * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
