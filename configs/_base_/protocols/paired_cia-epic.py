# Chirality in Action, clips of EPIC-Kitchens-100, made by tools/data/cia. Opposite actions.
_base_ = './paired.py'
benchmark = 'CiA-Retrieval EPIC'
data_root = 'data/cia_epic'
test_dataloader = dict(dataset=dict(data_root=data_root))
