"""How much of everything an experiment takes: all, or so little that only its stages are tried."""

from dataclasses import dataclass

from mmengine.config import Config

from tvtsv2_mm.preparation.narrated_shapes import NarratedShapesOptions


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Data, and what their trainings take."""

    data: NarratedShapesOptions  # whose seed is replaced by the run's
    epochs: tuple[tuple[str, int], ...] = ()  # of the configs named, instead of their own
    repeats: int | None = None  # of the videos in an epoch of training, if not as configured

    def apply(self, cfg: Config, name: str) -> None:
        """Change the training of a config, which is called ``name``, in place."""
        epochs = dict(self.epochs).get(name)
        if epochs is not None:
            cfg.train_cfg.max_epochs = epochs
            if 'val_interval' in cfg.train_cfg:
                cfg.train_cfg.val_interval = epochs
        dataset = cfg.get('train_dataloader', {}).get('dataset', {})
        for part in dataset.get('datasets', [dataset]):
            if self.repeats is not None and part.get('type') == 'RepeatDataset':
                part.times = self.repeats
