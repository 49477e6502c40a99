"""What tools/benchmarks/page.py measures, and how."""

import argparse
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from results import show_progress

from tvtsv2_mm.apis.features.shards import FeatureStore, checkpoint_sha256
from tvtsv2_mm.preparation.narrated_shapes import NarratedShapesOptions, build_narrated_shapes
from tvtsv2_mm.registry import MODELS
from tvtsv2_mm.video.files import walk_videos

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = dict(tiny='tiny_sorting', b32='vit-b32_retrieval_msrvtt',
               b16='vit-b16_retrieval_msrvtt')
WORDS = (
    'a', 'the', 'one', 'two', 'red', 'green', 'old', 'young', 'man', 'woman', 'dog', 'cat',
    'bird', 'car', 'boat', 'tree', 'house', 'road', 'river', 'runs', 'walks', 'jumps',
    'sits', 'swims', 'turns', 'falls', 'opens', 'over', 'under', 'near', 'behind', 'beside',
    'in', 'on')
WINDOWS_OF_A_VIDEO = 100
CONNECTIONS = 32
WARM_UP = 10
# Kinds of requests of a soak, in a hundred.
SHARES = dict(search=56, like=10, thumbnail=15, part=10, whole=2, picture=2, clip=1, wrong=4)


def make_checkpoint(size: str, path: Path) -> Path:
    """Random weights, saved as a training does."""
    torch.manual_seed(0)
    config = Config.fromfile(ROOT / f'configs/tvtsv2/{CONFIGS[size]}.py')
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        model = MODELS.build(config.model)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=config.pretty_text)), path)
    return path


def make_features(folder: Path, checkpoint: Path, windows: int, width: int) -> None:
    """Random features of videos that are not there."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((windows, width), np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    spans = [[2.0 * number, 2.0 * number + 4] for number in range(WINDOWS_OF_A_VIDEO)]
    counts = [min(WINDOWS_OF_A_VIDEO, windows - start)
              for start in range(0, windows, WINDOWS_OF_A_VIDEO)]
    names = [f'{number % 20:02d}/{number:06d}.mp4' for number in range(len(counts))]
    store = FeatureStore(folder)
    with store.locked():
        store.begin(dict(checkpoint=checkpoint.name,
                         checkpoint_sha256=checkpoint_sha256(folder, str(checkpoint))))
        store.write_part(0, names, features, [], windows=[spans[:count] for count in counts])
        store.finish(names)


def run_tool(name: str, *words: object) -> None:
    """Run a tool of the package."""
    subprocess.run([sys.executable, ROOT / 'tools' / f'{name}.py', *map(str, words)], check=True,
                   stdout=subprocess.DEVNULL)


class Server:
    """The page in a process of its own."""

    def __init__(self, process: subprocess.Popen, port: int) -> None:
        self.process, self.port = process, port

    def resident_mb(self) -> float:
        """Resident memory of the server and its children."""
        pids = [self.process.pid]
        for pid in pids:
            for children in Path(f'/proc/{pid}/task').glob('*/children'):
                pids += map(int, children.read_text().split())
        pages = sum(int(Path(f'/proc/{pid}/statm').read_text().split()[1]) for pid in pids)
        return pages * os.sysconf('SC_PAGE_SIZE') / 1e6


@contextmanager
def running(features: Path, checkpoint: Path, *options: str) -> Generator[Server]:
    """Run tools/serve.py at a port that is free."""
    words = [sys.executable, str(ROOT / 'tools/serve.py'), str(features), '-C', str(checkpoint),
             '--device', 'cpu', '--port', '0', *options]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = next((line for line in process.stdout if line.startswith('http://')), None)
            if line is None:
                raise RuntimeError('tools/serve.py did not start')
            yield Server(process, int(line.split('/')[2].rpartition(':')[2]))
        finally:
            process.terminate()


class Caller(threading.local):
    """A connection of each thread, which is kept."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection('127.0.0.1', port, timeout=60)

    def ask(self, target: str, method: str = 'GET', body: bytes | None = None,
            headers: Mapping[str, str] = {}) -> tuple[int, bytes]:
        """Ask; returns status and body."""
        try:
            self._connection.request(method, target, body, dict(headers))
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except Exception:
            self._connection.close()
            raise


def search_of(text: str, **more: object) -> str:
    """The target of a search."""
    return f'/api/search?{urlencode(dict(text=text, **more))}'


def new_text(rng: random.Random) -> str:
    """Ten words, which hardly come twice."""
    return ' '.join(rng.choices(WORDS, k=10))


def percentiles(milliseconds: list[float]) -> dict[str, float]:
    """Of a row."""
    ranked = sorted(milliseconds)
    return {f'p{share}_ms': ranked[min(int(len(ranked) * share / 100), len(ranked) - 1)]
            for share in (50, 95, 99)} | dict(slowest_ms=ranked[-1])


def measure(args: argparse.Namespace, folder: Path) -> list[dict]:
    """First results: a row for each number of requests at a time."""
    show_progress('making weights and features')
    checkpoint = make_checkpoint(args.size, folder / 'weights.pth')
    width = Config.fromfile(ROOT / f'configs/tvtsv2/{CONFIGS[args.size]}.py').model.backbone.get(
        'embed_dim', 512)
    make_features(folder / 'features', checkpoint, args.windows, width)
    rows = []
    options = ['--texts-only', '--videos', str(folder)]
    with running(folder / 'features', checkpoint, *options) as server:
        caller = Caller(server.port)
        for at_once in args.at_once:
            show_progress(f'{at_once} at a time')
            rng = random.Random(at_once)
            texts = [new_text(rng) for _ in range(args.requests + WARM_UP)]
            parts: list[dict] = []

            def ask(text: str, parts: list[dict] = parts) -> float:
                start = time.perf_counter()
                status, body = caller.ask(search_of(text))
                spent = 1e3 * (time.perf_counter() - start)
                if status != 200:
                    raise RuntimeError(f'{status}: {body[:200]!r}')
                parts.append(json.loads(body))
                return spent

            with ThreadPoolExecutor(at_once) as threads:
                list(threads.map(ask, texts[:WARM_UP]))
                parts.clear()
                spent = list(threads.map(ask, texts[WARM_UP:]))
            rows.append(dict(
                table='page', size=args.size, at_once_requests=at_once, total_windows=args.windows,
                **percentiles(spent),
                query_median_ms=statistics.median(part['query_ms'] for part in parts),
                search_median_ms=statistics.median(part['search_ms'] for part in parts),
                resident_mb=server.resident_mb()))
    return rows


def soak(args: argparse.Namespace, folder: Path) -> list[dict]:
    """Requests of all kinds at a rate: a row for each minute, with those that failed."""
    show_progress('making videos, weights and features')
    build_narrated_shapes(folder / 'shapes', NarratedShapesOptions(
        transcript_videos=(8, 2), clip_rounds=(1, 1), order_clips=(2, 2)),
        workers=os.cpu_count() or 1)
    checkpoint = make_checkpoint('tiny', folder / 'weights.pth')
    videos = folder / 'shapes' / 'videos'
    run_tool('extract_features', videos, folder / 'features', '--windows', 2, '-C', checkpoint,
             '--device', 'cpu', '--num-workers', 0)
    with running(folder / 'features', checkpoint) as server:
        kinds = make_kinds(Caller(server.port), videos)
        return drive(args, server, kinds)


def make_kinds(caller: Caller, root: Path) -> dict[str, Callable[[random.Random], int | None]]:
    """Each kind of request: it returns the status that is wrong, or None."""
    names = sorted(walk_videos(str(root)))
    contents = {name: (root / name).read_bytes() for name in names}
    pictures = [caller.ask(f'/api/thumbnail?{urlencode(dict(name=name, at=1))}')[1]
                for name in names[:8]]
    common = [new_text(random.Random(number)) for number in range(200)]
    wrong = (
        ('/api/search?text=a&top_k=0', 422), ('/api/search', 422), ('/api/search?like=-1', 404),
        ('/api/video?name=../weights.pth', 404), ('/api/thumbnail?name=%2e%2e%2fweights.pth', 404),
        ('/../weights.pth', 404), ('/api/nothing', 404), ('/api/video?name=%00', 404))

    def is_other(target: str, wanted: int = 200, body: bytes | None = None, method: str = 'GET',
                 content: bytes | None = None, headers: Mapping[str, str] = {}) -> int | None:
        status, answer = caller.ask(target, method, body, headers)
        right = status == wanted and (content is None or answer == content)
        return None if right else status

    def search(rng: random.Random) -> int | None:
        text = rng.choice(common) if rng.random() < 0.5 else new_text(rng)
        more = rng.choice(({}, {'per_video': 1}, {'folder': 'stories_train'}, {'not': 'a dog'}))
        return is_other(search_of(text, **more))

    def part(rng: random.Random) -> int | None:
        name = rng.choice(names)
        start = rng.randrange(len(contents[name]))
        stop = min(start + 1 + rng.randrange(50_000), len(contents[name]))
        return is_other(f'/api/video?{urlencode(dict(name=name))}', 206,
                        content=contents[name][start:stop],
                        headers={'Range': f'bytes={start}-{stop - 1}'})

    def whole(rng: random.Random) -> int | None:
        name = rng.choice(names)
        return is_other(f'/api/video?{urlencode(dict(name=name))}', content=contents[name])

    def ask_wrongly(rng: random.Random) -> int | None:
        if rng.random() < 0.2:
            return is_other('/api/search', 422, rng.randbytes(1000), 'POST')
        return is_other(*rng.choice(wrong))

    return dict(
        search=search, part=part, whole=whole, wrong=ask_wrongly,
        like=lambda rng: is_other(f'/api/search?like={rng.randrange(100)}'),
        thumbnail=lambda rng: is_other('/api/thumbnail?' + urlencode(dict(
            name=rng.choice(names), at=round(rng.uniform(0, 20), 1)))),
        picture=lambda rng: is_other('/api/search', body=rng.choice(pictures), method='POST'),
        clip=lambda rng: is_other('/api/search', body=contents[rng.choice(names)], method='POST'))


def drive(args: argparse.Namespace, server: Server,
          kinds: Mapping[str, Callable[[random.Random], int | None]]) -> list[dict]:
    """Send requests when their time comes, however long others take."""
    chosen = random.Random(0).choices([*SHARES], [*SHARES.values()], k=int(args.soak * args.rate))
    rows: list[dict] = []
    lock, spent, failed, seen = threading.Lock(), [], Counter(), Counter()
    begun = time.monotonic()

    def send(number: int) -> None:
        kind = chosen[number]
        due = begun + number / args.rate
        time.sleep(max(due - time.monotonic(), 0))
        try:
            status = kinds[kind](random.Random(number))
            fault = None if status is None else f'{kind}: {status}'
        except Exception as error:
            fault = f'{kind}: {type(error).__name__}'
        with lock:
            # From when it was due: what waits for a connection waits too.
            spent.append(1e3 * (time.monotonic() - due))
            seen[kind] += 1
            if fault:
                failed[fault] += 1

    def tell(seconds: float) -> None:
        with lock:
            row = dict(table='soak', minutes=round(seconds / 60, 2), requests=len(spent),
                       failed_requests=failed.total(), resident_mb=server.resident_mb(),
                       **percentiles(spent))
            spent.clear()
        rows.append(row)
        show_progress(' '.join(f'{key}={value}' for key, value in row.items()) + f' {dict(failed)}')

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        work = threads.map(send, range(len(chosen)))
        while (left := args.soak - (time.monotonic() - begun)) > 0.5:
            time.sleep(min(60.0, left))
            tell(time.monotonic() - begun)
        list(work)
    show_progress(f'{seen.total()} requests: {dict(seen)}; failed: {dict(failed)}')
    return rows
