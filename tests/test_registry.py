"""What a config of a user can name keeps its name: parts by scope, modules for custom_imports."""

import json
import subprocess
import sys

import pytest
from mmengine.config import Config

# Name of each part, and where it is registered, by registry; since the package got its rooms.
PARTS = {
    'MODELS': {
        'AttentiveHead': 'models.heads.attentive_head',
        'FramewiseViT': 'models.backbones.framewise_vit',
        'HuggingFaceBackbone': 'models.backbones.hugging_face_backbone',
        'HuggingFaceTextEncoder': 'models.necks.hugging_face_text_encoder',
        'InternVideoViT': 'models.backbones.internvideo_vit',
        'LinearProbeHead': 'models.heads.linear_probe_head',
        'OpenMMLabBackbone': 'models.backbones.openmmlab_backbone',
        'PartiallyFrozenSiglipTextEncoder': 'models.necks.siglip_text_encoder',
        'PartiallyFrozenTextEncoder': 'models.necks.text_encoder',
        'SpaceTimeViT': 'models.backbones.space_time_vit',
        'TranscriptSortingHead': 'models.heads.transcript_sorting_head',
        'VideoConditionedZeroShotHead': 'models.heads.video_conditioned_zero_shot_head',
        'VideoTextContrastiveHead': 'models.heads.contrastive_head',
        'VideoTextDataPreprocessor': 'models.data_preprocessor',
        'VideoTextModel': 'models.video_text_model',
        'VideoTextSigmoidHead': 'models.heads.sigmoid_head',
        'XClipBackbone': 'models.backbones.hugging_face_backbone',
        'ZeroShotHead': 'models.heads.zero_shot_head',
    },
    'DATASETS': {
        'CaptionVideoDataset': 'datasets.caption_video_dataset',
        'LabeledVideoDataset': 'datasets.labeled_video_dataset',
        'PresentDatasets': 'datasets.present_datasets',
        'ShardedCaptionDataset': 'datasets.shards.sharded_dataset',
        'ShardedTranscriptDataset': 'datasets.shards.sharded_dataset',
        'TranscriptVideoDataset': 'datasets.transcript_video_dataset',
    },
    'TRANSFORMS': {
        'CropClip': 'datasets.transforms.cropping',
        'DecodeClip': 'datasets.transforms.video_decoding',
        'OpenVideo': 'datasets.transforms.video_decoding',
        'PackVideoText': 'datasets.transforms.packing',
        'RandomTubeMask': 'datasets.transforms.tube_mask',
        'SampleClipFrames': 'datasets.transforms.frame_sampling',
        'SampleTranscriptSegments': 'datasets.transforms.transcript_segments',
        'ShowFrames': 'datasets.transforms.frame_sampling',
        'TokenizeText': 'datasets.transforms.tokenizing',
    },
    'FUNCTIONS': {'collate_clips': 'datasets.clips_of_video'},
    'METRICS': {
        'MultipleChoiceAccuracy': 'evaluation.metrics.multiple_choice_accuracy',
        'RetrievalMetric': 'evaluation.metrics.retrieval_metric',
        'SortingAccuracy': 'evaluation.metrics.sorting_accuracy',
        'TopKAccuracy': 'evaluation.metrics.top_k_accuracy',
    },
    'DATA_SAMPLERS': {
        'AlternatingBatchSampler': 'engine.samplers.alternating_batch_sampler',
        'SeededSampler': 'engine.samplers.seeded_sampler',
        'ShardBatchSampler': 'engine.samplers.shard_batch_sampler',
    },
    'HOOKS': {
        'CheckLabelsHook': 'engine.hooks.check_labels_hook',
        'CheckpointHook': 'engine.hooks.checkpoint_hook',
        'CompileBlocksHook': 'engine.hooks.compile_blocks_hook',
        'CutTextHook': 'engine.hooks.cut_text_hook',
        'EarlyStoppingHook': 'engine.hooks.early_stopping_hook',
        'NonFiniteStepHook': 'engine.hooks.non_finite_step_hook',
        'OutOfTheBoxMonitorHook': 'engine.hooks.out_of_the_box_monitor_hook',
        'PreemptionHook': 'engine.hooks.preemption_hook',
        'QueryBankHook': 'engine.hooks.query_bank_hook',
        'RankWatchHook': 'engine.hooks.rank_watch_hook',
        'RecognizerWeightsHook': 'engine.hooks.recognizer_weights_hook',
        'ResultFileHook': 'engine.hooks.result_file_hook',
        'ResumeDataHook': 'engine.hooks.resume_data_hook',
        'SkippedSampleHook': 'engine.hooks.skipped_sample_hook',
        'ZeroShotCheckHook': 'engine.hooks.zero_shot_check_hook',
    },
    'OPTIM_WRAPPERS': {'BFloat16OptimWrapper': 'engine.optimizers.bfloat16_optim_wrapper'},
    'OPTIM_WRAPPER_CONSTRUCTORS': {
        'TrainableParamsConstructor': 'engine.optimizers.trainable_params_constructor'},
    'STRATEGIES': {'FullyShardStrategy': 'engine.strategies.fully_shard_strategy'},
    'INFERENCERS': {'TVTSv2Inferencer': 'apis.inferencer'},
}
ALL = [(registry, name, module) for registry, parts in PARTS.items()
       for name, module in parts.items()]

FIND = """
import json, sys
import tvtsv2_mm  # mmaction2 refuses newer mmcv without
from mmaction import registry as mmaction
from mmengine import registry as mmengine
from tvtsv2_mm import registry

for kind, names in json.loads(sys.argv[1]).items():
    above = getattr(mmaction if hasattr(mmaction, kind) else mmengine, kind)
    for name in names:
        found = getattr(registry, kind).get(name)
        assert found is not None and found is above.get(f'tvtsv2_mm.{name}'), name
"""


def test_every_part_is_found_by_its_scope():
    """In a process that has imported nothing else, as a Runner does."""
    names = {registry: list(parts) for registry, parts in PARTS.items()}
    done = subprocess.run([sys.executable, '-c', FIND, json.dumps(names)], text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(('registry', 'name', 'module'), ALL)
def test_the_module_of_every_part_can_be_imported(tmp_path, registry, name, module):
    """And the packages that it is in."""
    packages = module.split('.')
    imports = ['.'.join(['tvtsv2_mm', *packages[:depth + 1]]) for depth in range(len(packages))]
    (tmp_path / 'own.py').write_text(f'custom_imports = dict(imports={imports})\n')
    Config.fromfile(tmp_path / 'own.py')
    assert hasattr(sys.modules[imports[-1]], name)
    assert getattr(sys.modules['tvtsv2_mm.registry'], registry).get(name).__module__ == imports[-1]
