from mmengine.config import Config

from tvtsv2_mm.apis.launch.fit_to_model import fit_to_model, move_data_root


def make(**top):
    steps = [dict(type='OpenVideo'), dict(type='tvtsv2_mm.SampleClipFrames', mode='middle'),
             dict(type='CropClip'), dict(type='TokenizeText'), dict(type='RandomTubeMask')]
    dataset = dict(ann_file='a.txt', held_out_by='a.txt', pipeline=steps)
    return Config(dict(
        model=dict(backbone=dict(image_size=96, num_frames=4, patch_size=8),
                   neck=dict(context_length=20), cls_head=dict(type='ZeroShotHead')),
        train_dataloader=dict(dataset=dict(type='RepeatDataset', dataset=dataset)),
        custom_hooks=[dict(type='QueryBankHook'), dict(type='OutOfTheBoxMonitorHook')], **top))


def test_what_is_left_out_is_the_models():
    cfg = make(mask_ratio=0.7, data_root='videos', held_out_share=0.2)
    fit_to_model(cfg)
    dataset = cfg.train_dataloader.dataset.dataset
    assert [{key: value for key, value in step.items() if key != 'type'}
            for step in dataset.pipeline] == [
        dict(short_side=115), dict(num_frames=4, mode='middle'), dict(size=96),
        dict(context_length=20), dict(patch_size=8, ratio=0.7)]
    assert (dataset.data_root, dataset.held_out_share) == ('videos', 0.2)
    assert [part.context_length for part in (cfg.model.cls_head, *cfg.custom_hooks)] == 3 * [20]
    assert 'data_root' not in cfg.train_dataloader.dataset


def test_what_is_given_stays():
    cfg = make(mask_ratio=0.7, data_root='videos')
    dataset = cfg.train_dataloader.dataset.dataset
    dataset.pipeline = [dict(type='OpenVideo', short_side=None), dict(type='CropClip', size=32),
                        dict(type='RandomTubeMask', patch_size=4, ratio=0.1)]
    dataset.data_root = ''
    before = dataset.to_dict()
    fit_to_model(cfg)
    assert dataset.to_dict() == before


def test_frames_that_are_not_cropped_keep_their_size():
    cfg = make()
    cfg.train_dataloader.dataset.dataset.pipeline = [dict(type='OpenVideo')]
    fit_to_model(cfg)
    assert cfg.train_dataloader.dataset.dataset.pipeline == [dict(type='OpenVideo')]


def test_a_hook_with_a_model_of_its_own():
    """A ZeroShotCheckHook in a recognizer, which has no text encoder."""
    own = make().model.to_dict()
    del own['cls_head']
    hook = dict(type='ZeroShotCheckHook', model=own, cls_head=dict(type='ZeroShotHead'),
                dataloader=dict(dataset=dict(pipeline=[dict(type='SampleClipFrames')])))
    cfg = Config(dict(model=dict(type='Recognizer3D', backbone=dict(num_frames=8)),
                      default_hooks=dict(check=hook)))
    fit_to_model(cfg)
    hook = cfg.default_hooks.check
    assert hook.cls_head.context_length == 20
    assert hook.dataloader.dataset.pipeline[0].num_frames == 4


def test_a_config_without_sizes_stays():
    cfg = Config(dict(model=dict(type='ToyModel'), train_dataloader=None))
    fit_to_model(cfg)
    assert cfg.to_dict() == dict(model=dict(type='ToyModel'), train_dataloader=None)


def test_paths_move_with_the_data_root():
    cfg = Config(dict(data_root='data/a', classes='data/a/classes.txt', other='data/ab/x',
                      loader=dict(sets=[dict(data_root='data/a'), dict(data_root='data/b')])))
    move_data_root(cfg, 'b')
    assert cfg.to_dict() == dict(
        data_root='b', classes='b/classes.txt', other='data/ab/x',
        loader=dict(sets=[dict(data_root='b'), dict(data_root='data/b')]))
