"""Work beside the loop that answers requests: in threads, of which as much waits as is said."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from threading import BoundedSemaphore, Thread
from typing import Generic, TypeVar

import numpy as np

from tvtsv2_mm.apis.page.errors import BusyError

Key = TypeVar('Key')
Value = TypeVar('Value')


class Crew:
    """Threads for one kind of work.

    Args:
        threads: how many.
        waiting: pieces of work that may wait for one.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        self._executor = ThreadPoolExecutor(threads)
        self._room = BoundedSemaphore(threads + waiting)

    async def run(self, function: Callable[..., Value], *arguments: object) -> Value:
        """Have a function called.

        Raises:
            BusyError: too much waits.
        """
        return await asyncio.wrap_future(self.begin(function, *arguments))

    def begin(self, function: Callable[..., Value], *arguments: object) -> Future[Value]:
        """Have a function called, without waiting for it; raises as :meth:`run`."""
        if not self._room.acquire(blocking=False):
            raise BusyError
        try:
            future = self._executor.submit(function, *arguments)
        except BaseException:
            self._room.release()
            raise
        # Also where whoever asked has gone meanwhile: the work may go on.
        future.add_done_callback(lambda _: self._room.release())
        return future

    def close(self) -> None:
        """Take no more work."""
        self._executor.shutdown(wait=False, cancel_futures=True)


class Kept(Generic[Key, Value]):
    """What was used last, up to a size; of one thread."""

    def __init__(self, most: int, size_of: Callable[[Value], int] = lambda _: 1) -> None:
        self._most, self._size_of, self._size = most, size_of, 0
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """What is kept under a key."""
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def put(self, key: Key, value: Value) -> None:
        """Keep a value, and forget those that were not used for longest."""
        if key in self._values:
            self._size -= self._size_of(self._values.pop(key))
        self._values[key] = value
        self._size += self._size_of(value)
        while self._size > self._most:
            self._size -= self._size_of(self._values.popitem(last=False)[1])


class TextEncoder:
    """Embeds texts in one thread: those that wait at a time are one batch, and many are kept.

    Args:
        embed: N texts give float32 (N, E).
        most: texts that may wait.
        kept: texts whose embeddings are kept.
    """

    def __init__(self, embed: Callable[[Sequence[str]], np.ndarray], most: int = 256,
                 kept: int = 4096) -> None:
        self._embed = embed
        self._kept: Kept[str, np.ndarray] = Kept(kept)
        self._waiting: SimpleQueue[tuple[Sequence[str], Future] | None] = SimpleQueue()
        self._most = most
        Thread(target=self._work, daemon=True, name='texts').start()

    async def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts.

        Raises:
            BusyError: too many wait.
            ValueError: of the model.
        """
        return await asyncio.wrap_future(self.begin(texts))

    def begin(self, texts: Sequence[str]) -> Future[np.ndarray]:
        """Have texts embedded, without waiting for it; raises as :meth:`embed`."""
        if self._waiting.qsize() >= self._most:
            raise BusyError
        future: Future[np.ndarray] = Future()
        self._waiting.put((texts, future))
        return future

    def close(self) -> None:
        """End the thread."""
        self._waiting.put(None)

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            while not self._waiting.empty():
                if (other := self._waiting.get()) is None:
                    return
                batch.append(other)
            own = [(texts, future) for texts, future in batch
                   if future.set_running_or_notify_cancel()]
            try:
                found = self._embed_new([text for texts, _ in own for text in texts])
                for texts, future in own:
                    future.set_result(np.stack([found[text] for text in texts]))
            except Exception as error:
                for _, future in own:
                    if not future.done():
                        future.set_exception(error)

    def _embed_new(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        found = {text: self._kept.get(text) for text in texts}
        new = [text for text, embed in found.items() if embed is None]
        for text, embed in zip(new, self._embed(new) if new else (), strict=True):
            found[text] = embed
            self._kept.put(text, embed)
        return {text: embed for text, embed in found.items() if embed is not None}
