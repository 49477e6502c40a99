import asyncio
import threading

import numpy as np
import pytest

from tvtsv2_mm.apis.page.errors import BusyError
from tvtsv2_mm.apis.page.work import Crew, Kept, TextEncoder


def test_a_crew_has_no_more_work_than_is_said():
    crew, go = Crew(1, waiting=2), threading.Event()

    async def work():
        tasks = [asyncio.create_task(crew.run(go.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError) as error:
            await crew.run(go.wait)
        assert error.value.headers == {'retry-after': '1'}
        tasks[2].cancel()  # who asked has gone
        go.set()
        assert await tasks[0] is True
        await tasks[1]
        assert await crew.run(lambda: 1) == 1
        with pytest.raises(KeyError):
            await crew.run({}.__getitem__, 0)

    asyncio.run(work())
    crew.close()


def test_what_was_used_last_is_kept():
    kept = Kept(10, len)
    for key, size in (('a', 4), ('b', 4), ('c', 1)):
        kept.put(key, size * 'x')
    assert kept.get('a') == 'xxxx'
    kept.put('d', 'xxxx')
    assert kept.get('b') is None and kept.get('a') and kept.get('c') and kept.get('d')
    kept.put('a', 'x')
    kept.put('e', 'xxxx')
    assert kept.get('c') and kept.get('d') and kept.get('e')
    kept.put('f', 11 * 'x')  # larger than all
    assert not any(map(kept.get, 'acdef'))


def test_texts_that_wait_are_one_batch_and_are_kept():
    batches, go = [], threading.Event()

    def embed(texts):
        batches.append(list(texts))
        go.wait(10)
        if 'bad' in texts:
            raise ValueError('bad')
        return np.array([[len(text)] for text in texts], np.float32)

    encoder = TextEncoder(embed, most=3)

    async def work():
        first = asyncio.create_task(encoder.embed(['a']))
        while not batches:
            await asyncio.sleep(0.001)
        others = [asyncio.create_task(encoder.embed(texts))
                  for texts in (['bb', 'a'], ['ccc'], ['bb'])]
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await encoder.embed(['d'])
        others[1].cancel()
        await asyncio.sleep(0)
        go.set()
        assert (await first).tolist() == [[1]]
        assert (await others[0]).tolist() == [[2], [1]] and (await others[2]).tolist() == [[2]]
        assert batches == [['a'], ['bb']]  # once each, and not what nobody waits for
        assert (await encoder.embed(['bb', 'a'])).tolist() == [[2], [1]] and len(batches) == 2
        with pytest.raises(ValueError, match='bad'):
            await encoder.embed(['bad'])
        assert (await encoder.embed(['ee'])).tolist() == [[2]]  # it goes on

    asyncio.run(work())
    encoder.close()
