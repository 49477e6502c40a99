"""Figures of the paper, arXiv 2305.14173. Nothing here has reproduced them."""

# protocol, benchmark -> model -> group -> metric, named as our metrics name them.
_RETRIEVAL = ('t2v/R1', 't2v/R5', 't2v/R10', 't2v/MdR')


def _retrieval(raw: tuple, dsl: tuple = ()) -> dict[str, dict[str, float]]:
    groups = dict(raw=raw, dsl=dsl)
    return {group: dict(zip(_RETRIEVAL, values, strict=False))
            for group, values in groups.items() if values}


def _top1(**by_model: float) -> dict[str, dict]:
    return {MODELS[model]: dict(raw={'acc/top1': value}) for model, value in by_model.items()}


MODELS = {'clip': 'CLIP B/16', 'b32': 'TVTSv2 B/32', 'b16': 'TVTSv2 B/16', 'h14': 'TVTSv2 H/14'}

PAPER_FIGURES: dict[tuple[str, str], dict[str, dict]] = {
    ('zero-shot', 'HMDB51'): _top1(clip=43.2, b16=50.4, h14=52.1),
    ('zero-shot', 'UCF101'): _top1(clip=68.9, b16=69.8, h14=78.0),
    ('zero-shot', 'Kinetics-400'): _top1(clip=48.0, b16=54.3, h14=59.6),
    ('linear-probe', 'HMDB51'): _top1(clip=62.8, b16=64.7, h14=65.7),
    ('linear-probe', 'UCF101'): _top1(clip=87.6, b16=90.0, h14=91.8),
    ('linear-probe', 'Kinetics-400'): _top1(clip=66.9, b16=70.1, h14=73.1),
    ('multiple-choice', 'SSv2-MC'): {
        MODELS[model]: dict(raw={'multiple_choice/top1': value})
        for model, value in dict(clip=29.6, b16=42.1, h14=48.4).items()
    },
    ('retrieval', 'MSR-VTT 1k-A'): {
        MODELS['clip']: _retrieval((31.8, 53.9, 64.5, 4)),
        MODELS['b32']: _retrieval((34.5, 58.5, 67.7, 3.5), (36.4, 58.0, 69.0, 3)),
        MODELS['b16']: _retrieval((35.9, 61.2, 71.3, 3), (37.8, 62.9, 72.4, 3)),
        MODELS['h14']: _retrieval((38.2, 62.4, 73.2, 3), (41.3, 63.0, 74.0, 2)),
    },
    ('retrieval', 'DiDeMo'): {
        MODELS['clip']: _retrieval((27.7, )),
        MODELS['b32']: _retrieval((31.2, ), (37.0, )),
        MODELS['b16']: _retrieval((33.4, ), (39.0, )),
        MODELS['h14']: _retrieval((34.6, ), (39.5, )),
    },
    ('retrieval', 'LSMDC'): {
        MODELS['clip']: _retrieval((15.2, )),
        MODELS['b32']: _retrieval((16.1, ), (15.6, )),
        MODELS['b16']: _retrieval((16.9, ), (18.3, )),
        MODELS['h14']: _retrieval((17.3, ), (20.0, )),
    },
}
