from mmengine.hooks import EMAHook
from mmengine.runner.priority import get_priority

from tvtsv2_mm.engine.hooks import QueryBankHook, ResultFileHook


def test_the_bank_is_encoded_by_the_weights_of_the_test():
    """EMAHook swaps them before the same event; the order in the config does not matter."""
    order = [get_priority(hook.priority) for hook in (EMAHook, QueryBankHook, ResultFileHook)]
    assert order == sorted(set(order))
