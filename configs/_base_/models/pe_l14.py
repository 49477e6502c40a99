# PE-core L/14 of 336 pixels; see pe_b16.py. Weights: PE-Core-L14-336.pt of
# huggingface.co/facebook/PE-Core-L14-336.
_base_ = './pe_b16.py'
model = dict(backbone=dict(image_size=336, patch_size=14, width=1024, layers=24, heads=16))
