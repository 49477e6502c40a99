"""Hooks."""

from tvtsv2_mm.engine.hooks.check_clips_hook import CheckClipsHook
from tvtsv2_mm.engine.hooks.check_labels_hook import CheckLabelsHook
from tvtsv2_mm.engine.hooks.checkpoint_hook import CheckpointHook
from tvtsv2_mm.engine.hooks.compile_blocks_hook import CompileBlocksHook
from tvtsv2_mm.engine.hooks.cut_text_hook import CutTextHook
from tvtsv2_mm.engine.hooks.early_stopping_hook import EarlyStoppingHook
from tvtsv2_mm.engine.hooks.non_finite_step_hook import NonFiniteStepHook
from tvtsv2_mm.engine.hooks.out_of_the_box_monitor_hook import OutOfTheBoxMonitorHook
from tvtsv2_mm.engine.hooks.preemption_hook import PreemptionHook
from tvtsv2_mm.engine.hooks.query_bank_hook import QueryBankHook
from tvtsv2_mm.engine.hooks.rank_watch_hook import RankWatchHook
from tvtsv2_mm.engine.hooks.recognizer_weights_hook import RecognizerWeightsHook
from tvtsv2_mm.engine.hooks.result_file_hook import ResultFileHook
from tvtsv2_mm.engine.hooks.resume_data_hook import ResumeDataHook
from tvtsv2_mm.engine.hooks.skipped_sample_hook import SkippedSampleHook
from tvtsv2_mm.engine.hooks.zero_shot_check_hook import ZeroShotCheckHook

__all__ = ['CheckClipsHook', 'CheckLabelsHook', 'CheckpointHook', 'CompileBlocksHook',
           'CutTextHook', 'EarlyStoppingHook', 'NonFiniteStepHook', 'OutOfTheBoxMonitorHook',
           'PreemptionHook', 'QueryBankHook', 'RankWatchHook', 'RecognizerWeightsHook',
           'ResultFileHook', 'ResumeDataHook', 'SkippedSampleHook', 'ZeroShotCheckHook']
