# python tools/data/csv_to_annotations.py MY.csv --videos MY_VIDEOS
# python tools/test.py configs/tvtsv2/vit-b16_retrieval_own-data.py TVTSv2_ViT_B_16.pth \
#     --cfg-options test_dataloader.dataset.data_prefix.video=MY_VIDEOS
# Zero-shot retrieval on a folder of videos and a csv (path,caption): tools/data/README.md.
_base_ = ['../_base_/models/tvtsv2_vit-b16.py', '../_base_/protocols/retrieval.py']
benchmark = 'own data'
model = _base_.protocol_model
test_dataloader = dict(
    dataset=dict(
        ann_file='data/own/annotations/test.jsonl',
        data_prefix=dict(video='data/own/videos')))
