# Chirality in Action, clips of Charades, made by tools/data/cia. Opposite actions.
_base_ = './paired.py'
benchmark = 'CiA-Retrieval Charades'
data_root = 'data/cia_charades'
test_dataloader = dict(dataset=dict(data_root=data_root))
