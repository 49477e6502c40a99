# Test of Time, synthetic, made by tools/data/test_of_time. Two events, before and after.
_base_ = './paired.py'
benchmark = 'Test of Time, synthetic'
data_root = 'data/test_of_time'
test_dataloader = dict(dataset=dict(data_root=data_root))
