# Steps of MMAction2's pipelines. Those that choose frames stand with each data set or protocol.
open_decord = dict(type='DecordInit')
decode_decord = dict(type='DecordDecode')
random_crop = [
    dict(type='RandomResizedCrop'), dict(type='Resize', scale=(224, 224), keep_ratio=False)
]
flip = dict(type='Flip', flip_ratio=0.5)
center_crop = [dict(type='Resize', scale=(-1, 224)), dict(type='CenterCrop', crop_size=224)]
three_crops = [dict(type='Resize', scale=(-1, 224)), dict(type='ThreeCrop', crop_size=224)]
pack_clip = [dict(type='FormatShape', input_format='NCTHW'), dict(type='PackActionInputs')]
