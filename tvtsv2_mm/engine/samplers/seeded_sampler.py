"""mmengine's sampler, for samples that are the same whatever the number of workers."""

from collections.abc import Iterator

from mmengine.dataset import DefaultSampler

from tvtsv2_mm.datasets.drawn_index import DrawnIndex
from tvtsv2_mm.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class SeededSampler(DefaultSampler):
    """``DefaultSampler`` whose indices tell our data sets what to seed each sample with.

    The order is that of ``DefaultSampler``; segments, frames and masks follow from seed, epoch and
    index. Arguments are those of ``DefaultSampler``.
    """

    def __iter__(self) -> Iterator[DrawnIndex]:
        """Indices of this rank."""
        for index in super().__iter__():
            yield DrawnIndex(index, (self.seed, self.epoch, index))
