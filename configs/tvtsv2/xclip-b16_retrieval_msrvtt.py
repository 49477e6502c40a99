# python tools/test.py configs/tvtsv2/xclip-b16_retrieval_msrvtt.py CHECKPOINT
# X-CLIP-B/16 (Ni et al., arXiv 2208.02816), run by transformers. CHECKPOINT is the folder
# huggingface.co/microsoft/xclip-base-patch16-zero-shot (32 frames); licence of the weights: MIT.
# Compared are the features that the model has of videos and of texts alone. It was trained on texts
# that had seen the video: docs/peers.md.
_base_ = './hugging-face_retrieval_msrvtt.py'
