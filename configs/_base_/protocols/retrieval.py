# Text to video and video to text: raw, DSL and QB-Norm in one run.
_base_ = './multiple-choice.py'
protocol = 'retrieval'
test_evaluator = dict(_delete_=True, type='RetrievalMetric', dsl=True)
custom_hooks = [dict(type='QueryBankHook'), dict(type='ResultFileHook')]
