"""What documents and the model index repeat of the configs, made from them: see blocks.py."""

from functools import cache
from pathlib import Path

import torch
import yaml
from mmengine.config import Config
from mmengine.registry import DefaultScope

from tvtsv2_mm.checkpoints.published import RELEASED
from tvtsv2_mm.evaluation.paper_figures import MODELS as PAPER_MODELS
from tvtsv2_mm.evaluation.paper_figures import PAPER_FIGURES
from tvtsv2_mm.evaluation.results import describe_views
from tvtsv2_mm.registry import MODELS
from tvtsv2_mm.utils.config_errors import walk
from tvtsv2_mm.utils.tables import markdown_table

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs/tvtsv2'
SIZES = {'vit-b32': 'B/32', 'vit-b16': 'B/16', 'vit-l': 'L/14', 'vit-h': 'H/14', 'tiny': 'tiny'}
# Other image encoders that are trained on; what evaluates them as they are is a peer's config.
BASES = {'siglip2-b16': 'SigLIP 2 B/16', 'pe-b16': 'PE-core B/16',
         'metaclip2-h14': 'MetaCLIP 2 H/14'}
# What ``load_from`` of the configs names, and where that is published.
WEIGHTS = {
    'openai/clip-vit-base-patch32': 'OpenAI CLIP ViT-B/32',
    'openai/clip-vit-base-patch16': 'OpenAI CLIP ViT-B/16',
    'openai/clip-vit-large-patch14': 'OpenAI CLIP ViT-L/14',
    'laion/CLIP-ViT-H-14-laion2B-s32B-b79K': 'OpenCLIP ViT-H-14 laion2b_s32b_b79k',
    'hf://google/siglip2-base-patch16-224': 'SigLIP 2 ViT-B/16',
    'hf://timm/PE-Core-B-16': 'PE-core B/16',
    'hf://facebook/metaclip-2-worldwide-huge-quickgelu': 'MetaCLIP 2 worldwide ViT-H/14',
}
# The configs that the published models were trained with.
TRAINED = {'tvtsv2-b32': 'vit-b32_pretrain', 'tvtsv2-b16': 'vit-b16_pretrain',
           'tvtsv2-h14': 'vit-h_pretrain'}
# Where the videos of a benchmark are had; the READMEs in tools/data say what of it, and how.
_KINETICS = 'https://github.com/cvdfoundation/kinetics-dataset'
_SSV2 = 'https://www.qualcomm.com/developer/software/something-something-v-2-dataset'
VIDEOS = {
    'HMDB51': 'https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database/',
    'UCF101': 'https://www.crcv.ucf.edu/data/UCF101.php',
    **dict.fromkeys(('Kinetics-400', 'Kinetics-600', 'Kinetics-700', 'VATEX'), _KINETICS),
    **dict.fromkeys(('SSv2-MC', 'SSv2-Template', 'SSv2-Temporal', 'CiA-Retrieval SSv2'), _SSV2),
    'MSR-VTT 1k-A': 'https://www.robots.ox.ac.uk/~maxbain/frozen-in-time/data/MSRVTT.zip',
    'DiDeMo': 'https://github.com/LisaAnne/LocalizingMoments',
    'LSMDC': 'https://sites.google.com/site/describingmovies/',
    'ActivityNet': 'http://activity-net.org/download.html',
    'MSVD': 'https://www.cs.utexas.edu/users/ml/clamp/videoDescription/',
    'Vinoground': 'https://huggingface.co/datasets/HanSolo9682/Vinoground',
    'CiA-Retrieval EPIC': 'https://epic-kitchens.github.io/',
    'CiA-Retrieval Charades': 'https://prior.allenai.org/projects/charades',
    'Test of Time, synthetic': 'https://github.com/bpiyush/TestOfTime',
    **dict.fromkeys(('RTime-Binary', 'RTime-Hard'),
                    'https://github.com/qyr0403/Reversed-in-Time'),
}
# Protocol of the paper's figures: task and prefix of its metrics in the model index.
TASKS = {
    'zero-shot': ('Zero-shot Action Recognition', ''),
    'linear-probe': ('Zero-shot Action Recognition', 'Linear Probe '),
    'multiple-choice': ('Zero-shot Multiple Choice', ''),
    'retrieval': ('Text-to-Video Retrieval', ''),
    'paired': ('Paired Video-Text Retrieval', ''),
}
METRICS = {'acc/top1': 'Top 1 Accuracy', 'multiple_choice/top1': 'Top 1 Accuracy',
           't2v/R1': 'Recall@1', 't2v/R5': 'Recall@5', 't2v/R10': 'Recall@10'}


@cache
def read(name: str) -> Config:
    """A config of configs/tvtsv2 by its stem."""
    return Config.fromfile(CONFIGS / f'{name}.py')


def names(pattern: str) -> list[str]:
    """Stems of configs of SIZES and of the baseline, which comes first; not of others' models.

    Of BASES those of pre-training.
    """
    order = ['clip-b16', *SIZES, *(BASES if 'pretrain' in pattern else ())]
    found = [path.stem for path in CONFIGS.glob(f'{pattern}.py')
             if path.stem.split('_')[0] in order]
    return sorted(found, key=lambda stem: (order.index(stem.split('_')[0]), stem))


def start_of(config: Config) -> str:
    """What ``load_from`` is called where it is published."""
    return WEIGHTS[config.load_from] if config.get('load_from') else ''


def pretraining() -> str:
    """The training configs."""
    rows = []
    for name in names('*_pretrain*'):
        config, size = read(name), (SIZES | BASES)[name.split('_')[0]]
        masks = {step.get('ratio', config.get('mask_ratio'))
                 for _, step in walk(config.train_dataloader)
                 if isinstance(step, dict) and step.get('type') == 'RandomTubeMask'}
        notes = [note for note, holds in {
            'not in the paper': not name.startswith('tiny') and f'TVTSv2 {size}' not in
            PAPER_MODELS.values(),
            'like SigLIP': name.startswith('tiny_siglip'),
            'like PE-core': name.startswith('tiny_pe_'),
            'sharded over the GPUs': config.get('strategy'),
            'videos in shards': 'shards' in name,
            'a folder of narrated videos': 'own-data' in name}.items() if holds]
        rows.append([f'`{name}.py`', ', '.join([size, *notes]),
                     ', '.join(f'{ratio:g}' for ratio in masks if ratio) or 'none',
                     config.train_dataloader.batch_size,
                     config.train_cfg.max_epochs, start_of(config) or 'random weights'])
    return markdown_table(
        [['config', 'model', 'mask', 'clips a GPU', 'epochs', 'starts from'], *rows])


def weights() -> str:
    """Weights by name, and where they are had."""
    rows = [[f'`{name}`', f'TVTSv2, trained as `{config}.py`',
             f'https://drive.google.com/file/d/{RELEASED[name].drive_id}/view']
            for name, config in TRAINED.items()]
    return markdown_table([['name', 'weights', 'from'], *rows, *(
        [f'`{name}`', told, f'https://huggingface.co/{name.removeprefix("hf://")}']
        for name, told in WEIGHTS.items())])


def protocols() -> str:
    """The evaluation configs, a row for each benchmark."""
    found: dict[tuple[str, str], list[str]] = {}
    for protocol in TASKS:
        for name in names(f'*_{protocol}_*'):
            if not name.endswith('own-data'):
                size, _, benchmark = name.split('_')
                found.setdefault((protocol, benchmark), []).append(size)
    rows = []
    for (protocol, benchmark), sizes in found.items():
        config = read(f'{sizes[0]}_{protocol}_{benchmark}')
        data, root = config.test_dataloader.dataset, config.data_root
        training = (config.get('train_dataloader') or {}).get('dataset', {})
        files = [training.get('ann_file'), data.ann_file,
                 (config.model.get('cls_head') or {}).get('classes'),
                 config.test_evaluator.get('query_bank'), f'{data.data_prefix.video}/']
        rows.append([
            protocol, f'[{config.benchmark}]({VIDEOS[config.benchmark]})',
            f'`{{{",".join(sizes)}}}_{protocol}_{benchmark}.py`',
            f'`{root}/`: ' + ', '.join(
                f'`{file.removeprefix(f"{root}/")}`' for file in files if file)])
    return markdown_table([['protocol', 'benchmark (its videos)', 'configs', 'reads'], *rows])


def pixels() -> str:
    """What the frames of both models are made of, in the words of result files."""
    configs = [read(f'{size}_zero-shot_hmdb51') for size in ('vit-b16', 'clip-b16')]
    made = [{**describe_views(config.test_dataloader.dataset.pipeline),
             **config.model.data_preprocessor} for config in configs]
    return markdown_table([
        ['', 'TVTSv2', 'CLIP baseline'],
        *([title, *(', '.join(str(own[key]) for key in keys) for own in made)]
          for title, *keys in (
              ('`frames`, `sampling`', 'frames', 'sampling'),
              ('full-size frames scaled: `interpolation`, `short_side`',
               'interpolation', 'short_side'),
              ('`crop`, `crop_size`', 'crop', 'crop_size'),
              ('`mean` and `std` of pixels', 'mean', 'std'),
              ('`short_clip`: a video of fewer frames', 'short_clip')))])


def paper() -> str:
    """The paper's figures: raw, and with the dual softmax in brackets."""
    def cell(protocol: str, benchmark: str, model: str) -> str:
        groups = PAPER_FIGURES[protocol, benchmark].get(model, {})
        shown = ['/'.join(f'{value:g}' if name.endswith('MdR') else f'{value:.1f}'
                          for name, value in figures.items()) for figures in groups.values()]
        return ' '.join([*shown[:1], *(f'({text})' for text in shown[1:])]) or '-'

    rows = []
    for key, figures in PAPER_FIGURES.items():
        metrics = '/'.join(name.rpartition('/')[2] for name in next(iter(figures.values()))['raw'])
        rows.append([f'{" ".join(key)}, {metrics}',
                     *(cell(*key, model) for model in PAPER_MODELS.values())])
    return markdown_table([['', *PAPER_MODELS.values()], *rows])


def results_of(model: str) -> list[dict]:
    """The paper's figures of a model, as the model index has them."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for (protocol, benchmark), models in PAPER_FIGURES.items():
        task, prefix = TASKS[protocol]
        for group, figures in models.get(model, {}).items():
            found.setdefault((task, benchmark), {}).update({
                f'Paper {prefix}{METRICS[name]}{"" if group == "raw" else " DSL"}': value
                for name, value in figures.items() if name in METRICS})
    return [dict(Task=task, Dataset=dataset, Videos=VIDEOS[dataset], Metrics=metrics)
            for (task, dataset), metrics in found.items()]


def models() -> str:
    """``Models`` of the model index."""
    listed = []
    for name in names('*_pretrain'):
        config, size = read(name), (SIZES | BASES)[name.split('_')[0]]
        with torch.device('meta'), DefaultScope.overwrite_default_scope('tvtsv2_mm'):
            encoder = MODELS.build(config.model.backbone)
        side = config.model.backbone.image_size
        entry = {
            'Name': f'tvtsv2_{name}', 'Config': f'configs/tvtsv2/{name}.py',
            'In Collection': 'TVTSv2',
            'Metadata': {
                'Parameters': sum(each.numel() for each in encoder.parameters()),
                'Epochs': config.train_cfg.max_epochs,
                'Batch Size': config.train_dataloader.batch_size,
                'Pretrained': start_of(config), 'Resolution': f'{side}x{side}',
                'Training Data': size == 'tiny' and 'narrated shapes, made on the spot'},
            'Results': results_of(f'TVTSv2 {size}'),
            'Weights': next((known for known, own in TRAINED.items() if own == name), None)}
        entry['Metadata'] = {key: value for key, value in entry['Metadata'].items() if value}
        listed.append({key: value for key, value in entry.items() if value})
    return yaml.safe_dump(listed, sort_keys=False, allow_unicode=True)


def block(name: str) -> str:
    """'pretraining', 'weights', 'protocols', 'pixels' or 'paper' as Markdown, 'models' as YAML."""
    return {made.__name__: made for made in (pretraining, weights, protocols, pixels, paper, models)
            }[name]()
