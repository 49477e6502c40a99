"""A folder of videos to features as one writes it with sentence-transformers' image model.

    python with_sentence_transformers.py VIDEOS OUT MODEL FRAMES DTYPE
"""

import json
import sys
from pathlib import Path

# First: it lets a CUDA build of torchvision be imported beside a CPU torch.
import tvtsv2_mm  # noqa: F401  # isort: skip
import decord
import numpy as np
from PIL import Image
from sentence_transformers import SentenceTransformer

videos, out, folder, num_frames, dtype = sys.argv[1:]
model = SentenceTransformer(folder, device='cpu', model_kwargs=dict(dtype=dtype))
names, features = [], []
for path in sorted(Path(videos).iterdir()):
    reader = decord.VideoReader(str(path))
    # The middles of equal parts, the frames that ours takes too.
    middles = (np.arange(int(num_frames)) + 0.5) * len(reader) / int(num_frames)
    frames = reader.get_batch(middles.astype(int)).asnumpy()
    embeds = model.encode([Image.fromarray(frame) for frame in frames],
                          normalize_embeddings=True, show_progress_bar=False)
    mean = embeds.astype(np.float32).mean(axis=0)
    names.append(path.name)
    features.append(mean / np.linalg.norm(mean))
Path(out).mkdir()
np.save(Path(out, 'features.npy'), np.stack(features))
Path(out, 'names.json').write_text(json.dumps(names))
