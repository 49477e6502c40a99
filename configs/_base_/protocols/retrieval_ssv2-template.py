# SSv2-Template, made by tools/data/ssv2_retrieval. A text has several right videos.
_base_ = './retrieval.py'
benchmark = 'SSv2-Template'
data_root = 'data/ssv2_retrieval'
test_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/template.jsonl'))
test_evaluator = dict(shared_texts=True)
