"""One block of the video encoder: CLIP's block with time attention beside its space attention."""

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn

from .divided_attention import DividedAttention
from .norm_linear import activation_linear, build_activation, norm_linear
from .token_rows import TokenRows


class SpaceTimeBlock(nn.Module):
    """Divided space-time block (pre-norm)::

        time  = x + timeattn(ln_3(x))
        space = x + attn(ln_1(time))      # the residual is x, not time
        out   = space + mlp(ln_2(space))

    Args:
        width: token width D.
        heads: number of heads of both attentions.
        activation: 'quick_gelu', 'gelu' or 'gelu_pytorch_tanh'.
        mlp_width: of the hidden layer; None for 4 * D.
        norm_eps: what is added to the variance in the layer norms.
        time_attention: False leaves the time branch out; then this is CLIP's own block.
        over: what the other branch attends over, see DividedAttention: 'space' or 'clip'.
        time_init: how the time branch starts at 0, see DividedAttention's ``zero_init``.
    """

    def __init__(self, *, width: int, heads: int, activation: str, mlp_width: int | None = None,
                 norm_eps: float = 1e-5, time_attention: bool = True, over: str = 'space',
                 time_init: str = 'qkv') -> None:
        super().__init__()
        self.activation = build_activation(activation)
        mlp_width = mlp_width or 4 * width
        self.ln_1 = nn.LayerNorm(width, norm_eps)
        self.attn = DividedAttention(width=width, heads=heads, over=over)
        self.ln_2 = nn.LayerNorm(width, norm_eps)
        self.mlp: Any = nn.ModuleDict(
            OrderedDict(c_fc=nn.Linear(width, mlp_width), c_proj=nn.Linear(mlp_width, width)))
        if time_attention:
            self.ln_3 = nn.LayerNorm(width, norm_eps)
            self.timeattn = DividedAttention(
                width=width, heads=heads, over='time', zero_init=time_init)
        self.time_attention = time_attention

    def forward(self, x: Tensor, layout: TokenRows, class_only: bool = False,
                branches: Tensor | None = None, turns: Tensor | None = None) -> Tensor:
        """(R, D) -> (R, D), rows as ``layout`` says; with ``class_only`` -> (B, D).

        ``branches`` (2, B) are factors of what the attentions and the MLP add to each clip, 0 where
        they are dropped; None for 1 throughout. ``turns`` are rotary positions of the patches, for
        the attention over space, which ``class_only`` knows nothing of. That over time goes
        without: in it all patches of a group are at the same place.
        """
        time = x
        if self.time_attention:
            time = x + self.timeattn(norm_linear(x, self.ln_3, self.timeattn.qkv), layout)
        if class_only:
            x, attended = layout.split(x)[1], self.attn.forward_class(self.ln_1(time), layout)
        else:
            attended = self.attn(norm_linear(time, self.ln_1, self.attn.qkv), layout, turns)
        if branches is None:
            space = x + attended
            return space + self._mlp(space)
        of_attention, of_mlp = (
            own[:, None] if class_only else layout.spread(own) for own in branches)
        space = x + of_attention * attended
        return space + of_mlp * self._mlp(space)

    def _mlp(self, x: Tensor) -> Tensor:
        hidden = norm_linear(x, self.ln_2, self.mlp.c_fc, self.activation.scale)
        return activation_linear(hidden, self.activation, self.mlp.c_proj)
