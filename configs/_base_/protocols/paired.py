# Videos and texts that differ in the order of events: each finds the other among a few candidates.
_base_ = './multiple-choice.py'
protocol = 'paired'
test_evaluator = dict(_delete_=True, type='PairedMetric')
