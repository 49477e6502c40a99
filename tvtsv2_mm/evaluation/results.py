"""What a result file says: all that a figure depends on, beside the figure."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mmengine.config import Config

from tvtsv2_mm import __version__
from tvtsv2_mm.checkpoints.files import files_of
from tvtsv2_mm.datasets.transforms import CropClip, DecodeClip, OpenVideo, SampleClipFrames
from tvtsv2_mm.evaluation.intervals import Share
from tvtsv2_mm.utils.errors import one_error
from tvtsv2_mm.utils.files import file_sha256, write_atomically

SCHEMA = 1
PACKAGES = ('torch', 'torchvision', 'mmengine', 'mmaction2', 'mmcv', 'mmcv-lite', 'numpy',
            'decord', 'av', 'transformers', 'open_clip_torch', 'scikit-learn')
# Metrics whose names begin so use more than the query itself, and are never quoted as raw ones.
GROUPS = ('dsl', 'qb')
# Keys of a config that say where a run finds and leaves its files, and who started it.
PLACES = ('launcher', 'load_from', 'resume', 'work_dir')


def text_sha256(text: str) -> str:
    """SHA-256 of a text in UTF-8, in hexadecimal."""
    return sha256(text.encode()).hexdigest()


def group_metrics(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Put metrics, or what is told of each, that were re-weighted apart from raw ones.

    Examples:
        >>> group_metrics({'t2v/R1': 1.0, 'dsl/t2v/R1': 2.0})
        {'raw': {'t2v/R1': 1.0}, 'dsl': {'t2v/R1': 2.0}}
    """
    grouped: dict[str, dict[str, Any]] = {'raw': {}}
    for key, value in metrics.items():
        group, _, name = key.partition('/')
        if group not in GROUPS:
            group, name = 'raw', key
        grouped.setdefault(group, {})[name] = value
    return grouped


def describe_shares(shares: Mapping[str, Share]) -> dict[str, Any]:
    """``intervals`` (95 %, low and high) and ``chance`` of the metrics that have them."""
    return dict(
        intervals=group_metrics({name: list(own.interval) for name, own in shares.items()}),
        chance=group_metrics({name: own.chance for name, own in shares.items()}))


def describe_views(pipeline: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Frames, clips and crops of a test pipeline, of this package or of MMAction2's transforms.

    Defaults are filled in.
    """
    by_type = {step['type'].rpartition('.')[2]: step for step in pipeline
               if isinstance(step.get('type'), str)}
    if not {'SampleClipFrames', 'OpenVideo'} & by_type.keys():
        return _views_of_mmaction(by_type)
    frames, opening = by_type.get('SampleClipFrames', {}), by_type.get('OpenVideo', {})
    crop = by_type.get('CropClip')
    mode = crop and crop.get('mode', CropClip.mode)
    return dict(
        frames=frames.get('num_frames', SampleClipFrames.num_frames),
        sampling=frames.get('mode', SampleClipFrames.mode),
        spacing='fps' if frames.get('fps') else frames.get('spacing', SampleClipFrames.spacing),
        fps=frames.get('fps'),
        clips=frames.get('num_clips', SampleClipFrames.num_clips),
        clip_seconds=frames.get('clip_seconds'),
        **_shown(frames),
        crops=3 if mode == 'three' else 1,
        crop=mode,
        crop_size=crop and crop.get('size', CropClip.size),
        short_side=opening.get('short_side'),
        interpolation=opening.get('interpolation', OpenVideo.interpolation),
        keep_ratio=opening.get('keep_ratio', OpenVideo.keep_ratio),
        square_pixels=opening.get('square_pixels', OpenVideo.square_pixels),
        short_clip=by_type.get('DecodeClip', {}).get('short_clip', DecodeClip.short_clip))


def _shown(step: Mapping[str, Any]) -> dict[str, Any]:
    """Which of the chosen frames a step of a pipeline shows, and by which seed it shuffles them."""
    frames = step.get('frames', SampleClipFrames.frames)
    return dict(
        frames_shown=frames,
        frames_seed=step.get('frames_seed', SampleClipFrames.frames_seed)
        if frames == 'shuffled' else None)


def _views_of_mmaction(by_type: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    sampler = next((name for name in by_type if name.endswith(('Sample', 'SampleFrames'))), None)
    frames, resize = by_type.get(sampler or '', {}), by_type.get('Resize', {})
    crop = next((name for name in by_type if name.endswith('Crop')), None)
    scale = resize.get('scale')
    return dict(
        frames=frames.get('clip_len'),
        sampling=sampler,
        spacing=frames.get('frame_interval'),
        clips=frames.get('num_clips', 1),
        **_shown(by_type.get('ShowFrames', {})),
        crops={'ThreeCrop': 3, 'TenCrop': 10}.get(crop or '', 1),
        crop=crop,
        crop_size=by_type.get(crop or '', {}).get('crop_size'),
        short_side=max(scale) if isinstance(scale, list | tuple) and min(scale) < 0 else None,
        interpolation=resize.get('interpolation', 'bilinear'),
        keep_ratio=resize.get('keep_ratio', True))


def describe_normalisation(model: Any) -> dict[str, list[float]] | None:
    """Mean and std of pixel values 0..255, as a model's data preprocessor takes them; or None."""
    preprocessor = getattr(model, 'data_preprocessor', None)
    found: dict[str, Any] = {
        name: getattr(preprocessor, name, None) for name in ('mean', 'std')}
    return None if None in found.values() else {
        name: [round(value, 4) for value in values.flatten().tolist()]
        for name, values in found.items()}


def describe_split(ann_file: str | Path, num_videos: int, num_evaluated: int) -> dict[str, Any]:
    """The annotation file of a test, its hash, and how many of the benchmark's videos were used.

    ``missing`` comes from the ``counts.json`` that tools/data/<benchmark> writes beside the file,
    if it tells of this very file; otherwise nobody knows, and it is None. Evaluation stops at a
    video that fails: what ``num_evaluated`` lacks, the user of the loop left out.
    """
    ann_file = Path(ann_file)
    digest = file_sha256(ann_file)
    split = dict(
        file=str(ann_file), sha256=digest, annotated=None, used=num_evaluated, missing=None,
        failed=num_videos - num_evaluated)
    counts_file = ann_file.with_name('counts.json')
    if counts_file.is_file():
        with one_error(f'{counts_file} is damaged (delete it, and no counts are told)'):
            counts = json.loads(counts_file.read_text('utf-8')).get(ann_file.name, {})
            if counts.get('sha256') == digest:
                split.update(annotated=counts['annotated'], missing=counts['missing'])
    return split


def describe_query_bank(metrics: Sequence[Any]) -> dict[str, Any] | None:
    """The caption file of a test's QB-Norm, its hash, and what was encoded of it; or None."""
    for metric in metrics:
        path = getattr(metric, 'query_bank', None)
        if path is not None:
            return dict(file=str(path), sha256=file_sha256(path), texts=len(metric.bank_texts),
                        videos=0 if metric.bank_videos is None else len(metric.bank_videos))
    return None


def describe_checkpoint(path: str | None, load_report: Mapping | None) -> dict[str, Any] | None:
    """Path, hash and key report of a checkpoint; no hash for one that is not on this machine.

    The hash is that of the file of weights; of several it is that of their names and hashes.
    """
    if path is None:
        return None
    local = Path(path).expanduser()
    digest = None
    if local.exists():
        digests = {file.name: file_sha256(file) for file in files_of(local)}
        digest = (next(iter(digests.values())) if len(digests) == 1 else
                  text_sha256(''.join(f'{own}  {name}\n' for name, own in digests.items())))
    return dict(path=path, sha256=digest, keys=dict(load_report) if load_report else None)


def backbone_name(model: Any) -> str:
    """The class of a model's video encoder; one of another package has that before it."""
    backbone = getattr(model, 'backbone', model)
    return getattr(backbone, 'kind', None) or type(backbone).__name__


def describe_config(cfg: Config) -> dict[str, Any]:
    """File, text and hash of a config; the hash is the same wherever a run's files are."""
    content = {key: _without_place(value, cfg.get('load_from'))
               for key, value in cfg.to_dict().items() if key not in PLACES}
    return dict(file=cfg.filename, text=cfg.pretty_text,
                sha256=text_sha256(json.dumps(content, sort_keys=True, default=str)))


def _without_place(value: Any, start: str | None) -> Any:
    """A value of a config in which the folder of a checkpoint has one name."""
    if isinstance(value, Mapping):
        return {key: _without_place(own, start) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_without_place(own, start) for own in value]
    if isinstance(value, str) and start and os.path.abspath(value).startswith(
            os.path.abspath(start)):
        return 'load_from' + os.path.abspath(value)[len(os.path.abspath(start)):]
    return value


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that figures may depend on, as far as installed."""
    found = {'python': platform.python_version(), 'tvtsv2_mm': __version__}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def write_result(path: str | Path, result: Mapping[str, Any]) -> None:
    """Write a result file, under its name only when it is complete."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(dict(schema=SCHEMA) | dict(result), indent=2) + '\n'
    write_atomically(Path(path), content.encode())


def read_result(path: str | Path) -> dict[str, Any]:
    """Read a result file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no result file, or one of another version.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no result file {path}; the configs of the protocols '
                                'write work_dirs/<config>/<time>/result.json')
    with one_error(f'{path} is no JSON file'):
        result = json.loads(Path(path).read_text('utf-8'))
    if not isinstance(result, dict) or result.get('schema') != SCHEMA or 'metrics' not in result:
        raise ValueError(f'{path} is no result file of schema {SCHEMA}')
    return result
