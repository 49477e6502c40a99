"""The words that users choose from, for the code that knows what they mean and for command lines.

Apart from that code, so that ``--help`` and a wrong option need none of its imports.
"""

LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')
DTYPES = ('float32', 'float16', 'bfloat16')
# What clips of a video show: what the model is evaluated with, or the release's feature script.
CLIP_KINDS = ('protocol', 'feature-script')
# Which frames of a clip are shown, and in which order: see SampleClipFrames.
FRAMES = ('natural', 'shuffled', 'reversed', 'single', 'constant')
# Of a clip, where the config of a model that encodes frames alone does not say it.
NUM_FRAMES = 12
FEATURE_FORMATS = ('npy', 'safetensors', 'parquet')
TARGET_LAYOUTS = ('own', 'release')
# What FramewiseViT takes the mean of.
AVERAGES = ('directions', 'embeddings')
# How the patches of a clip meet in SpaceTimeViT.
ATTENTIONS = ('divided', 'joint')
ACTIVATIONS = ('quick_gelu', 'gelu', 'gelu_pytorch_tanh')
# What a file may name of the parts of a SpaceTimeViT.
POOLINGS = ('ClassTokenPooling', 'AttentionPooling')
ROTARY_POSITIONS = ('RotaryPositions2D', )
PROBES = ('logistic', 'knn', 'attentive')
# What the quickstart makes a video model of: tiny image-text models like these.
BASES = ('clip', 'siglip', 'pe')
