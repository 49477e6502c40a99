"""From frames to the inputs of ImageBind, InternVideo and ViCLIP, as their authors make them.

The golden pixels are of smaller sizes than the configs: 56 or 48 for 224, 64 for 256.
"""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.golden_peers import GOLDEN, read_config
from tvtsv2_mm.apis.clips import ClipSource
from tvtsv2_mm.datasets.frame_indices import spread_clips
from tvtsv2_mm.datasets.transforms import SampleClipFrames
from tvtsv2_mm.models import VideoTextDataPreprocessor

PIXELS = load_file(GOLDEN / 'peer_pixels.safetensors')
FRAMES = json.loads((GOLDEN / 'peer_frames.json').read_text())


def make_clip(name, steps, config, **sizes):
    """Normalised frames (V * T, 3, H, W) by a config's steps, with other sizes in them."""
    steps = [{key: sizes.get(f'{step["type"]}_{key}', value) for key, value in step.items()}
             for step in [*steps, dict(type='PackVideoText')]]
    _, sample = ClipSource([PIXELS[f'{name}.frames'].numpy()], steps)[0]
    preprocessor = dict(config.model.data_preprocessor)
    del preprocessor['type']
    batch = VideoTextDataPreprocessor(**preprocessor)(
        dict(inputs=dict(video=[sample['inputs']['video']]),
             data_samples=[sample['data_samples']]))
    return batch['inputs']['video'][0]


def test_internvideo():
    """To rounding."""
    config = read_config('internvideo_b16')
    crop = dict(type='CropClip', size=56, mode='center')
    clip = make_clip('internvideo', [*config.internvideo_frames, crop], config,
                     OpenVideo_short_side=64)
    # Of two frames eight are made, which end with the second.
    torch.testing.assert_close(clip[[0, 7]], PIXELS['internvideo.pixels'], atol=1e-6, rtol=1e-6)


def test_imagebind():
    """Pixels to 1 of 255; its middle crop, where half a pixel is left, begins one later."""
    config = read_config('imagebind_huge')
    clip = make_clip('imagebind', config.imagebind_views, config, OpenVideo_short_side=56,
                     CropClip_size=56)
    views = clip.unflatten(0, (5, 3, 2))
    expected = PIXELS['imagebind.pixels']
    level = 1.01 / min(config.model.data_preprocessor.std)
    for view in views:  # the video is of 2 s: five times the same clip
        for found, own in ((view[0], expected[0]), (view[2], expected[2]),
                           (view[1, ..., 1:], expected[1, ..., :-1])):
            torch.testing.assert_close(found, own, atol=level, rtol=0)
    # PIL's filter, which smooths, is far from it.
    other = make_clip('imagebind', config.imagebind_views, config, OpenVideo_short_side=56,
                      CropClip_size=56, OpenVideo_interpolation='bilinear')
    assert (other[0] - expected[0, 0]).abs().max() > 20 * level


@pytest.mark.parametrize('seconds', FRAMES['imagebind_seconds'])
def test_times_of_imagebind(seconds):
    """At 50 frames a second: from the first frame that begins in a clip to the last."""
    duration, spans = float(seconds), np.array(FRAMES['imagebind_seconds'][seconds])
    starts = np.arange(0, duration, 1 / 50)
    first, last = np.ceil(spans * 50 - 1e-9).astype(int).T
    found = spread_clips(starts, duration, 2.0, 2, 5)
    assert found.tolist() == np.stack([first, np.minimum(last, len(starts)) - 1], 1).tolist()
    view = read_config('imagebind_huge').imagebind_views[1]
    assert (view.num_frames, view.clip_seconds, view.num_clips) == (2, 2.0, 5)


def test_viclip():
    """Its demo's pixels, to rounding; its evaluation's filter is bicubic."""
    config = read_config('viclip_b16')
    clip = make_clip('viclip', config.viclip_frames, config, OpenVideo_short_side=48,
                     OpenVideo_interpolation='cv2_bilinear', SampleClipFrames_num_frames=2)
    torch.testing.assert_close(clip, PIXELS['viclip.pixels'], atol=1e-6, rtol=1e-6)


class _Video:
    """25 frames a second."""

    def __init__(self, num_frames):
        self.num_frames, self.fps = num_frames, 25.0
        self.frame_starts = np.arange(num_frames) / 25
        self.duration = num_frames / 25


@pytest.mark.parametrize(('config', 'steps', 'golden'), [
    ('internvideo_b16', 'internvideo_frames', 'internvideo'),
    ('viclip_b16', 'viclip_frames', 'viclip')])
def test_frames(config, steps, golden):
    step = dict(read_config(config)[steps][1])
    del step['type']
    for total, expected in FRAMES[golden].items():
        results = SampleClipFrames(**step).transform(
            dict(filename='x', video_reader=_Video(int(total))))
        found = results['frame_inds'].tolist()
        found += found[-1:] * (8 - len(found))  # as DecodeClip fills a clip
        assert found == expected, total
