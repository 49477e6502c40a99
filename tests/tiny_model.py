"""A checkpoint of a tiny model with random weights, for tests of what a user calls."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import DefaultScope

from tvtsv2_mm.datasets.frame_indices import clip_frames
from tvtsv2_mm.models import VideoTextModel
from tvtsv2_mm.registry import MODELS
from tvtsv2_mm.video.opening import open_video

ROOT = Path(__file__).parents[1]
VIDEOS = ROOT / 'tests' / 'data' / 'videos'
CONFIG = ROOT / 'configs' / 'tvtsv2' / 'tiny_sorting.py'
NAMES = ['example.mp4', 'grid_swwp2s.mpg', 'part_0.mp4', 'rotated_90.mov']
MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)


def build_tiny_model() -> VideoTextModel:
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        model = MODELS.build(Config.fromfile(CONFIG).model)
    with torch.no_grad():  # time attention starts as zero
        for name, parameter in model.named_parameters():
            if '.timeattn.' in name or parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def save_tiny_checkpoint(path: Path) -> Path:
    cfg = Config.fromfile(CONFIG)
    torch.save(dict(state_dict=build_tiny_model().state_dict(), meta=dict(cfg=cfg.pretty_text)),
               path)
    return path


def read_clip(name: str) -> np.ndarray:
    """The 8 middle frames, the short side scaled to 64, the middle 64 x 64: (8, 64, 64, 3)."""
    reader = open_video(str(VIDEOS / name), short_side=64)
    frames = clip_frames(0, reader.num_frames, 8, 1)[0]
    frames = np.concatenate([frames, np.full(8 - len(frames), frames[-1])])
    clip = reader.get_frames(frames)
    reader.close()
    top, left = round((clip.shape[1] - 64) / 2), round((clip.shape[2] - 64) / 2)
    return clip[:, top:top + 64, left:left + 64]


@torch.no_grad()
def embed_clips(model: VideoTextModel, clips: list[np.ndarray]) -> np.ndarray:
    """Embeddings by the plain backbone, one clip at a time."""
    embeds = []
    for clip in clips:
        pixels = torch.from_numpy(clip).permute(0, 3, 1, 2).float()
        embeds.append(model.backbone(((pixels - MEAN) / STD)[None])[0][0])
    return F.normalize(torch.stack(embeds), dim=-1).numpy()
