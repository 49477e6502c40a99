# python tools/test.py configs/tvtsv2/siglip2-b16_zero-shot_hmdb51.py CHECKPOINT
# SigLIP 2 ViT-B/16 (Tschannen et al., arXiv 2502.14786), run by transformers, frame by frame.
# CHECKPOINT is the folder huggingface.co/google/siglip2-base-patch16-224, or
# siglip2-base-patch16-naflex, whose frames are squares here; licence of the weights: Apache-2.0.
_base_ = './hugging-face_zero-shot_hmdb51.py'
