import pytest
import torch
import torch.nn.functional as F

from tvtsv2_mm.models import ZeroShotHead


class Encoder:
    """Embeds a text by its tokens, and counts how many texts it was given."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.table = torch.randn(49408, 8)
        self.count = 0

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        self.count += len(tokens)
        return self.table[tokens].sum(dim=1)


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


def test_classes_are_encoded_once_an_evaluation():
    head = ZeroShotHead(classes=['running', 'eating']).eval()
    encode = Encoder()
    for _ in range(3):
        head.predict(torch.randn(5, 8), encode)
    assert encode.count == 2
    head.train()
    head.eval()
    head.predict(torch.randn(5, 8), encode)
    assert encode.count == 4


def test_classes_from_a_file(tmp_path):
    path = tmp_path / 'classes.txt'
    path.write_text('running\n\neating soup\n')
    assert ZeroShotHead(classes=str(path)).classes == ['running', 'eating soup']


def test_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match='no file'):
        ZeroShotHead(classes=str(tmp_path / 'none.txt'))
    with pytest.raises(ValueError, match='exactly one'):
        ZeroShotHead(classes=['running'], prompts=['a person'])
    with pytest.raises(ValueError, match='empty'):
        ZeroShotHead(classes=[])
    with pytest.raises(ValueError, match="lists 'running' 2 times"):
        ZeroShotHead(classes=['running', 'eating', 'running'])
