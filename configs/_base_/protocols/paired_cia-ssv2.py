# Chirality in Action, clips of Something-Something v2, made by tools/data/cia. Opposite actions.
_base_ = './paired.py'
benchmark = 'CiA-Retrieval SSv2'
data_root = 'data/cia_ssv2'
test_dataloader = dict(dataset=dict(data_root=data_root))
