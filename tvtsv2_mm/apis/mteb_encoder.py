"""A checkpoint on the tasks of mteb, and so on MVEB, its benchmark of videos.

Frames are chosen and scaled as the model's own evaluation does it, by our decoder: what mteb's data
sets hold are the files, and torchcodec, which would decode them, is not needed.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from tvtsv2_mm.apis.clips import Video
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.apis.launch.runs import check_checkpoint, check_file
from tvtsv2_mm.datasets.transforms import SampleClipFrames
from tvtsv2_mm.evaluation.results import describe_checkpoint, text_sha256
from tvtsv2_mm.utils.extras import needed_for

with needed_for('evaluating by mteb'):
    import datasets
    import mteb
    from mteb.abstasks import AbsTask
    from mteb.models import ModelMeta
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.results import TaskResult


class MtebEncoder(AbsEncoder):
    """What mteb asks to embed its texts and videos.

    Where one sample has both it gets the direction of the sum of both embeddings. Instructions are
    not used.

    Args:
        inferencer: the model.
        meta: what results say of it; see :func:`model_meta`.
    """

    def __init__(self, inferencer: TVTSv2Inferencer, meta: ModelMeta) -> None:
        self.model = inferencer
        self.mteb_model_meta = meta

    def encode(self, inputs: DataLoader, *, task_metadata: Any, hf_split: str, hf_subset: str,
               prompt_type: Any = None, batch_size: int = 32,
               show_progress_bar: bool = True) -> np.ndarray:
        """Embed the samples of a loader's data set in their order: float32 (N, E), l2-normalised.

        Videos are decoded in as many processes as the loader would use.

        Raises:
            ValueError: the data set has no column that the model takes.
            RuntimeError: a video cannot be read.
        """
        samples: Any = inputs.dataset
        kinds = [kind for kind in self.mteb_model_meta.modalities if kind in samples.features]
        if not kinds:
            raise ValueError(f'{task_metadata.name} asks for {", ".join(samples.features)}, and '
                             f'the model takes {", ".join(self.mteb_model_meta.modalities)}')
        self.model.show_progress = show_progress_bar
        embeds = np.zeros((len(samples), self.mteb_model_meta.embed_dim), np.float32)
        if 'text' in kinds:
            embeds += self.model.embed_texts(list(samples['text']))
        if 'video' in kinds:
            embeds += self.model.embed_videos(VideoColumn(samples), batch_size, inputs.num_workers)
        return embeds / np.linalg.norm(embeds, axis=1, keepdims=True)


class VideoColumn(Sequence):
    """The column 'video' of a data set: the path or the bytes of each file, read when it is asked.

    Raises:
        ValueError: where a sample is asked for that has neither.
    """

    def __init__(self, samples: 'datasets.Dataset') -> None:
        self._files = samples.select_columns(['video']).cast_column(
            'video', datasets.Video(decode=False))

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Video:  # pyrefly: ignore[bad-override]  (no slices)
        file = self._files[index]['video'] or {}
        video = file.get('bytes') or file.get('path')
        if video is None:
            raise ValueError(f'sample {index} of the data set has no video')
        return video


def load_encoder(checkpoint: str, config: str | None = None, *, device: str | None = None,
                 dtype: str = 'float32', clips: str = 'protocol',
                 frames: str | None = None,
                 meta: Mapping[str, Any] | None = None) -> MtebEncoder:
    """Load a checkpoint for mteb.

    Args:
        checkpoint: file or folder of any layout that this package reads.
        config, device, dtype, clips, frames: of
            :class:`~tvtsv2_mm.apis.inferencer.TVTSv2Inferencer`.
        meta: fields of mteb's ModelMeta; without them the name is that of the file, the revision
            its sha256, and what differs from the checkpoint's own evaluation lies apart.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be loaded, is not on this machine, or ``meta`` is refused.
    """
    checkpoint = check_checkpoint(checkpoint)
    revision = (describe_checkpoint(checkpoint, None) or {})['sha256']
    if revision is None:
        raise ValueError(f'{checkpoint} is not on this machine: results are kept by the hash of '
                         'the file, so fetch it first')
    inferencer = TVTSv2Inferencer(config and check_file(config, 'config'), checkpoint,
                                  device=device, dtype=dtype, clips=clips, frames=frames)
    experiment: dict[str, Any] = {}
    if config is not None:
        parts = dict(model=inferencer.cfg.model, pipeline=inferencer.pipeline)
        experiment['config'] = text_sha256(json.dumps(parts, sort_keys=True, default=str))[:8]
    if dtype != 'float32':
        experiment['dtype'] = dtype
    if clips != 'protocol':
        experiment['clips'] = clips
    if frames not in (None, SampleClipFrames.frames):
        experiment['frames'] = frames
    told = dict(name=f'tvtsv2_mm/{Path(checkpoint).stem}', revision=revision,
                experiment_kwargs=experiment or None)
    return MtebEncoder(inferencer, model_meta(inferencer, told | dict(meta or {})))


def model_meta(inferencer: TVTSv2Inferencer, given: Mapping[str, Any]) -> ModelMeta:
    """What results say of a model.

    What nobody tells (licence, languages, training data, who released it when) stays None, which
    is unknown.

    Args:
        inferencer: the model.
        given: fields of mteb's ModelMeta beside or instead of those that the model tells.

    Raises:
        ValueError: a field is unknown, or mteb refuses its value.
    """
    model = inferencer.model
    parameters = [*model.backbone.parameters()]
    fields: dict[str, Any] = dict(
        modalities=['video'], embed_dim=model.backbone.embed_dim, framework=['PyTorch'],
        similarity_fn_name='cosine', use_instructions=False)
    if model.neck is not None:
        parameters += model.neck.parameters()
        fields |= dict(modalities=['text', 'video'], max_tokens=model.neck.context_length)
    fields |= dict(n_parameters=sum(one.numel() for one in parameters),
                   memory_usage_mb=sum(one.nbytes for one in parameters) / 2**20)
    known = ModelMeta.create_empty().model_dump()
    if unknown := given.keys() - known.keys():
        raise ValueError(f"mteb's ModelMeta has no {', '.join(sorted(unknown))}; it has "
                         f'{", ".join(known)}')
    return ModelMeta.model_validate(known | fields | dict(given))


def find_tasks(names: Iterable[str]) -> list[AbsTask]:
    """The tasks of these names, each once; a benchmark's name stands for its tasks.

    Raises:
        ValueError: mteb has neither a task nor a benchmark of a name.
    """
    tasks: dict[str, AbsTask] = {}
    for name in names:
        try:
            found = [mteb.get_task(name)]
        except KeyError as no_task:
            try:
                found = mteb.get_benchmark(name).tasks
            except KeyError as no_benchmark:
                raise ValueError(f'mteb has no task and no benchmark of this name: task '
                                 f'{no_task.args[0]} benchmark {no_benchmark.args[0]}') from None
        tasks |= {task.metadata.name: task for task in found}
    return [*tasks.values()]


def evaluate(encoder: MtebEncoder, tasks: Sequence[AbsTask], out: str | os.PathLike, *,
             batch_size: int | None = None, num_workers: int = 0,
             overwrite: bool = False) -> list[TaskResult]:
    """Evaluate, and write mteb's folder of results; what it has already is not done again.

    Args:
        encoder: the model.
        tasks: as of :func:`find_tasks`, or your own.
        out: mteb's folder: ``results/MODEL/REVISION/TASK.json``.
        batch_size: clips at once; None takes the ``usual_batch_size`` of the inferencer.
        num_workers: processes that load data and decode videos; below 2 this one does it.
        overwrite: do again what is there.

    Raises:
        ValueError: a task asks for what the model does not take.
        RuntimeError: a video cannot be read.
    """
    found = mteb.evaluate(
        encoder, tasks, cache=mteb.ResultCache(out), num_proc=num_workers or None,
        encode_kwargs=dict(batch_size=encoder.model.usual_batch_size if batch_size is None else
                           batch_size),
        overwrite_strategy='always' if overwrite else 'only-missing')
    return found.task_results
