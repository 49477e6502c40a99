"""A folder of videos to features as one writes it with open_clip: the mean over the frames.

    python with_open_clip.py VIDEOS OUT MODEL FRAMES DTYPE
"""

import json
import sys
from pathlib import Path

# First: it lets a CUDA build of torchvision be imported beside a CPU torch.
import tvtsv2_mm  # noqa: F401  # isort: skip
import decord
import numpy as np
import open_clip
import torch
from PIL import Image
from torch.nn.functional import normalize

videos, out, name, num_frames, dtype = sys.argv[1:]
precision = getattr(torch, dtype)
model, _, preprocess = open_clip.create_model_and_transforms(name)
model = model.to(precision).eval()
names, features = [], []
for path in sorted(Path(videos).iterdir()):
    reader = decord.VideoReader(str(path))
    # The middles of equal parts, the frames that ours takes too.
    middles = (np.arange(int(num_frames)) + 0.5) * len(reader) / int(num_frames)
    frames = reader.get_batch(middles.astype(int)).asnumpy()
    pictures = torch.stack([preprocess(Image.fromarray(frame)) for frame in frames])
    with torch.no_grad():
        embeds = normalize(model.encode_image(pictures.to(precision)).float(), dim=-1)
    names.append(path.name)
    features.append(normalize(embeds.mean(dim=0), dim=0).numpy())
Path(out).mkdir()
np.save(Path(out, 'features.npy'), np.stack(features))
Path(out, 'names.json').write_text(json.dumps(names))
