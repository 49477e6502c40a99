"""The whole model on two ranks: the gradient of the joint batch, and no unused parameters."""

import torch
from torch.nn.parallel import DistributedDataParallel

from tests.helpers import assert_close, run_ranks
from tvtsv2_mm.models import VideoTextModel


def total(losses: dict) -> torch.Tensor:
    return sum(value for key, value in losses.items() if 'loss' in key)


def check_rank(rank: int, world_size: int, model_cfg: dict, inputs: dict) -> None:
    torch.manual_seed(0)
    reference = VideoTextModel(**model_cfg)
    parallel = DistributedDataParallel(VideoTextModel(**model_cfg))
    parallel.module.load_state_dict(reference.state_dict())
    # Batches with 3 transcripts and with 1 caption in turn, as in joint training.
    for texts in (3, 1, 3):
        batch = inputs | dict(tokens=inputs['tokens'][:, :texts])
        own = {key: value[2 * rank:2 * rank + 2] for key, value in batch.items()}
        reference.zero_grad()
        parallel.zero_grad()
        total(reference(batch, [], mode='loss')).backward()
        total(parallel(own, [], mode='loss')).backward()
        for (name, expected), parameter in zip(
                reference.named_parameters(), parallel.module.parameters(), strict=True):
            if not parameter.requires_grad:
                assert parameter.grad is None
                continue
            assert_close(parameter.grad, expected.grad, name)


def test_two_ranks_give_the_gradient_of_the_joint_batch(model_cfg, inputs):
    inputs = {key: torch.cat([value, value.roll(1, dims=-1)]) for key, value in inputs.items()}
    inputs['kept_patches'] = inputs['kept_patches'].sort(dim=-1).values
    run_ranks(2, check_rank, model_cfg, inputs)
