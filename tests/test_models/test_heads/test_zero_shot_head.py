import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from tests.helpers import run_ranks
from tvtsv2_mm.models import ZeroShotHead


class Encoder(nn.Module):
    """Embeds a text by its tokens, and counts how many texts it was given."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Parameter(torch.randn(49408, 8))
        self.bias = nn.Parameter(torch.zeros(8))
        self.activation = nn.Identity()
        self.count = 0

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        self.count += len(tokens)
        return self.activation(self.table[tokens].sum(dim=1) + self.bias)


def test_scores_are_cosines_with_the_mean_of_the_prompts():
    prompts = ['a person {}', 'a video of {} outside']
    head = ZeroShotHead(classes=['running', 'eating soup'], prompts=prompts, batch_size=3).eval()
    encode = Encoder()
    video = torch.randn(5, 8)
    scores = head.predict(video, encode)
    expected = []
    for name in ('running', 'eating soup'):
        texts = head.tokenizer([prompt.format(name) for prompt in prompts])
        embed = F.normalize(encode(texts), dim=-1).mean(dim=0)
        expected.append(F.normalize(embed, dim=0))
    torch.testing.assert_close(scores, F.normalize(video, dim=-1) @ torch.stack(expected).t())


def load(encode):
    encode.load_state_dict({key: 2 + value for key, value in encode.state_dict().items()})


def write_data(encode):
    """As mmengine's EMAHook swaps weights, and peft merges LoRA."""
    encode.table.data.copy_(encode.table.flip(0))


def change_one(encode):
    with torch.no_grad():
        encode.table[320, 3] += 1e-3


def step(encode):
    optimizer = torch.optim.AdamW(encode.parameters(), lr=1e-6)
    encode(torch.tensor([[320, 4629]])).sum().backward()
    optimizer.step()


def halve(encode):
    encode.to(torch.bfloat16)


def other_function(encode):
    encode.activation = nn.ReLU()


@pytest.mark.parametrize('change', [load, write_data, change_one, step, halve, other_function])
def test_class_embeddings_do_not_outlive_the_weights(change):
    head = ZeroShotHead(classes=['running', 'eating'], prompts=['a person {}']).eval()
    encode, video = Encoder(), torch.randn(5, 8)
    before = head.predict(video, encode)
    for _ in range(3):
        assert torch.equal(head.predict(video, encode), before)
    assert encode.count == 2  # texts, in four batches
    other_head, other_encode = copy.deepcopy((head, encode))
    change(encode)
    fresh = ZeroShotHead(classes=head.classes, prompts=head.prompts)
    assert torch.equal(head.predict(video, encode), fresh.predict(video, encode))
    assert torch.equal(other_head.predict(video, other_encode), before)


def test_class_embeddings_follow_prompts_precision_and_unknown_functions():
    head = ZeroShotHead(classes=['running', 'eating'])
    encode, video = Encoder(), torch.randn(5, 8)
    head.predict(video, encode)
    head.classes[1] = 'waving'
    changed = head.predict(video, encode)
    expected = ZeroShotHead(classes=['running', 'waving']).predict(video, encode)
    assert torch.equal(changed, expected)
    count = encode.count
    assert torch.equal(head.predict(video, encode.forward), expected)  # a method of the same module
    assert encode.count == count
    with torch.autocast('cpu', dtype=torch.bfloat16):
        head.predict(video, encode)
    assert encode.count == count + 2
    assert torch.equal(head.predict(video, lambda tokens: -encode(tokens)), -expected)


def check_rank(rank, world_size):
    encode = Encoder()
    encode.table = nn.Parameter(distribute_tensor(
        torch.ones(4, 8), init_device_mesh('cpu', (world_size, )), [Shard(0)]))
    encode.forward = lambda tokens: torch.ones(len(tokens), 8)
    calls = []
    encode.register_forward_hook(lambda *_: calls.append(1))
    head, video = ZeroShotHead(classes=['running', 'eating']), torch.randn(5, 8)
    for change in (False, True, False):
        if change and rank == 0:
            encode.table.to_local().data.add_(1)
        head.predict(video, encode)
    assert len(calls) == 2


def test_all_ranks_encode_where_a_shard_of_one_has_changed():
    run_ranks(2, check_rank)


def test_classes_and_errors(tmp_path):
    (tmp_path / 'classes.txt').write_text('running\neating soup\n')
    head = ZeroShotHead(classes=str(tmp_path / 'classes.txt'))
    assert (head.classes, head.num_classes) == (['running', 'eating soup'], 2)
    with pytest.raises(FileNotFoundError, match='no file'):
        ZeroShotHead(classes=str(tmp_path / 'none.txt'))
    with pytest.raises(ValueError, match='exactly one'):
        ZeroShotHead(classes=['running'], prompts=['a person'])
    with pytest.raises(ValueError, match='empty'):
        ZeroShotHead(classes=[])
