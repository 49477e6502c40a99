import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.runner.checkpoint import CheckpointLoader

from tests.helpers import free_port
from tvtsv2_mm.utils.locks import locked

ROOT = Path(__file__).resolve().parents[2]
CONFIG = str(Path(__file__).with_name('toy_config.py'))


def refusal(run, capsys, *words):
    """Return the message with which a tool refuses its command line."""
    with pytest.raises(SystemExit) as stop:
        run(*words)
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_train_resume_and_test(run, tmp_path):
    first = run('train', CONFIG, '--amp', '--work-dir', 'out')
    assert type(first.optim_wrapper).__name__ == 'BFloat16OptimWrapper' or torch.cuda.is_available()
    checkpoint = tmp_path / 'out' / 'epoch_1.pth'
    assert checkpoint.exists()

    second = run('train', CONFIG, '--resume', '--work-dir', 'out', '--cfg-options',
                 'train_cfg.max_epochs=2')
    assert (second.epoch, second.iter) == (2, 8)
    losses = MessageHub.get_current_instance().get_scalar('train/loss')
    assert len(losses._log_history) == 8  # the log goes on too, so the buffers were read

    for change in (lambda x: x.update(optimizer=dict(a=1)), lambda x: x.pop('message_hub'),
                   lambda x: x.update(message_hub=dict(log_scalars=1)),
                   lambda x: x['optimizer']['param_groups'].clear()):
        odd = torch.load(checkpoint, weights_only=False)
        change(odd)
        torch.save(odd, tmp_path / 'odd.pth')
        with pytest.raises(SystemExit, match=r'error: no run can go on from odd\.pth'):
            run('train', CONFIG, '--resume', 'odd.pth')

    third = run('train', CONFIG, '--resume', checkpoint, '--cfg-options', 'train_cfg.max_epochs=2')
    for one, other in zip(second.model.parameters(), third.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert (tmp_path / 'work_dirs' / 'toy_config' / 'epoch_2.pth').exists()

    for words in ([checkpoint], ['--checkpoint', checkpoint]):
        tested = run('test', CONFIG, *words, '--dump', 'predictions.pkl')
        weights = CheckpointLoader.load_checkpoint(str(checkpoint), 'cpu', None)['state_dict']
        assert torch.equal(tested.model.linear.weight.cpu(), weights['linear.weight'])
    assert (tmp_path / 'predictions.pkl').exists()


def test_arguments_of_training(run):
    runner = run('train', CONFIG, '--no-validate', '--auto-scale-lr', '--seed', '7',
                 '--new-schedule')
    assert runner.cfg.new_schedule
    assert runner.val_loop is None
    assert runner.optim_wrapper.get_lr()['lr'] == [0.05]  # batches of 2 where the config means 4
    assert runner.seed == 7
    assert runner.cfg.randomness == dict(seed=7, diff_rank_seed=True)


@pytest.mark.parametrize(('words', 'message'), [
    (['train', 'nowhere.py'], 'there is no config nowhere.py'),
    (['train', CONFIG, '--resume', 'nowhere.pth'], 'there is no checkpoint nowhere.pth'),
    (['test', 'nowhere.py', 'x.pth'], 'there is no config nowhere.py'),
    (['test', CONFIG, 'nowhere.pth'], 'there is no checkpoint nowhere.pth'),
    (['test', CONFIG], 'give one checkpoint'),
    (['test', CONFIG, 'a.pth', '--checkpoint', 'b.pth'], 'give one checkpoint'),
])
def test_a_wrong_command_line_gives_one_clear_error(run, capsys, words, message):
    assert message in refusal(run, capsys, *words)


@pytest.mark.parametrize(('option', 'message'), [
    ('modle.type=ToyModel', 'modle: nothing reads this of a config; did you mean model?'),
    ("custom_hooks=[dict(type='EMAHok')]",
     'custom_hooks.0.type: there is no EMAHok; did you mean EMAHook?'),
    ("custom_hooks=[dict(type='EMAHook',ema_type='Expo')]",
     'custom_hooks.0.ema_type: there is no Expo'),
    ('custom_hooks=[3]', 'custom_hooks: TypeError: hook should be an instance of Hook or dict'),
    ("train_dataloader.sampler=dict(type='DefaultSampler',shufle=True)",
     'train_dataloader.sampler.shufle: DefaultSampler has no shufle; did you mean shuffle?'),
    ("model=dict(_delete_=True,type='ToyModle')", 'model.type: there is no ToyModle; did you mean'),
    ('log_level=DEBGU', 'log_level: there is no DEBGU; did you mean DEBUG?'),
    ('load_from=nowhere.pth', 'there is no checkpoint (load_from'),
])
def test_a_wrong_override_is_one_line_that_names_the_key(run, capsys, option, message):
    with pytest.raises(SystemExit) as stop:
        run('train', CONFIG, '--cfg-options', option)
    told = stop.value.code if isinstance(stop.value.code, str) else capsys.readouterr().err.strip()
    assert told.startswith(f'error: {message}')
    assert len(told.splitlines()) == 1


def test_the_traceback_of_an_error_in_the_config_is_in_the_log_file(run, tmp_path):
    with pytest.raises(SystemExit):
        run('train', CONFIG, '--work-dir', 'out', '--cfg-options',
            "custom_hooks=[dict(type='EMAHook',ema_type='Expo')]", 'experiment_name=told')
    [log] = (tmp_path / 'out').glob('*/*.log')
    assert 'Traceback' in log.read_text() and 'build_from_cfg' in log.read_text()


def test_what_goes_wrong_in_the_program_keeps_its_traceback(run, monkeypatch):
    def broken(*args, **kwargs):
        raise ValueError('a bug')

    monkeypatch.setattr('torch.nn.Linear.forward', broken)
    with pytest.raises(ValueError, match='a bug'):
        run('train', CONFIG)


def test_one_run_trains_in_a_work_folder(run, tmp_path, monkeypatch):
    monkeypatch.setattr('tvtsv2_mm.apis.launch.runs._SECONDS_TO_END', 0)
    run('train', CONFIG, '--work-dir', 'out')
    config = tmp_path / 'out/toy_config.py'
    before = config.read_text()
    with locked('out'):
        told = rf'^error: another run is writing to .*out \(process {os.getpid()} on '
        with pytest.raises(SystemExit, match=told):
            run('train', CONFIG, '--work-dir', 'out', '--seed', '9')
        assert config.read_text() == before
        run('test', CONFIG, 'out/epoch_1.pth', '--work-dir', 'out')  # beside it


def test_ema_by_an_override_and_resumed(run, tmp_path):
    ema = "custom_hooks=[dict(type='EMAHook', momentum=0.25)]"
    runner = run('train', CONFIG, '--work-dir', 'out', '--cfg-options', ema)
    [hook] = [hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook']
    weights, average = runner.model.linear.weight, hook.ema_model.module.linear.weight
    assert not torch.equal(weights, average)
    saved = CheckpointLoader.load_checkpoint(str(tmp_path / 'out' / 'epoch_1.pth'), 'cpu', None)
    assert torch.equal(saved['state_dict']['linear.weight'], average)
    assert torch.equal(saved['ema_state_dict']['module.linear.weight'], weights)

    whole = run('train', CONFIG, '--work-dir', 'whole', '--cfg-options', ema,
                'train_cfg.max_epochs=2')
    resumed = run('train', CONFIG, '--resume', '--work-dir', 'out', '--cfg-options', ema,
                  'train_cfg.max_epochs=2')
    for one, other in zip(whole.hooks, resumed.hooks, strict=True):
        if type(one).__name__ == 'EMAHook':
            assert torch.equal(one.ema_model.module.linear.weight,
                               other.ema_model.module.linear.weight)


@pytest.mark.slow
def test_the_console_is_for_results_and_the_log_file_for_all(run, tmp_path):
    def call(*words):
        done = subprocess.run([sys.executable, *words], cwd=tmp_path, text=True, check=True,
                              env=dict(os.environ, PYTHONPATH=str(ROOT)), capture_output=True)
        return done.stdout + done.stderr

    run('train', CONFIG, '--work-dir', 'out')
    told = call(ROOT / 'tools/test.py', CONFIG, 'out/epoch_1.pth', '--work-dir', 'tested')
    assert 'count: 7' in told
    assert len(told.splitlines()) <= 6, told
    assert not any(text in told for text in ('pkg_resources', 'Hook', 'System environment'))
    [log] = (tmp_path / 'tested').glob('*/*.log')
    for text in ('count: 7', 'CheckpointHook', 'System environment', 'Config:'):
        assert text in log.read_text()
    loud = call(ROOT / 'tools/test.py', CONFIG, 'out/epoch_1.pth', '--cfg-options',
                'log_level=DEBUG')
    assert 'CheckpointHook' in loud


def test_a_config_that_lacks_what_an_argument_needs(run, capsys, tmp_path):
    config = tmp_path / 'bare.py'
    config.write_text('model = dict()')
    (tmp_path / 'x.pth').touch()
    assert 'base_batch_size' in refusal(run, capsys, 'train', config, '--auto-scale-lr')
    assert 'no test_dataloader' in refusal(run, capsys, 'test', config, 'x.pth')
    assert '.pkl' in refusal(run, capsys, 'test', CONFIG, 'x.pth', '--dump', 'predictions.json')


@pytest.mark.slow
def test_dist_scripts_on_two_processes_from_another_folder(tmp_path):
    """Nothing is set for a CPU; words with blanks reach the tool in one piece."""
    path = f'{Path(sys.executable).parent}:{os.environ["PATH"]}'
    environment = dict(os.environ, PATH=path, PORT=str(free_port()), PYTHONPATH=str(ROOT),
                       CUDA_VISIBLE_DEVICES='')

    def call(script, *words):
        return subprocess.run(['bash', ROOT / 'tools' / script, CONFIG, *words], cwd=tmp_path,
                              env=environment, text=True, capture_output=True, check=False)

    done = call('dist_train.sh', '2', '--work-dir', 'a folder')
    assert done.returncode == 0, done.stderr
    checkpoint = tmp_path / 'a folder' / 'epoch_1.pth'
    state = CheckpointLoader.load_checkpoint(str(checkpoint), 'cpu', None)
    assert state['meta']['iter'] == 2  # 8 samples in batches of 2 on 2 processes

    done = call('dist_test.sh', checkpoint, '2')
    assert done.returncode == 0, done.stderr
    assert 'count: 7' in done.stdout + done.stderr  # no sample twice on the uneven last batch


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh',
                                    'slurm_test.sh'])
def test_scripts_say_how_they_are_used(script):
    done = subprocess.run(['bash', ROOT / 'tools' / script], text=True, capture_output=True,
                          check=False)
    assert done.returncode == 2
    assert done.stderr.startswith('usage: ')


@pytest.mark.parametrize(('script', 'words', 'tool'), [
    ('slurm_train.sh', ['part', 'a job', 'c.py', '--cfg-options', 'a=b c'],
     ['train.py', 'c.py', '--launcher', 'slurm', '--cfg-options', 'a=b c']),
    ('slurm_test.sh', ['part', 'a job', 'c.py', 'x.pth'],
     ['test.py', 'c.py', 'x.pth', '--launcher', 'slurm']),
])
def test_slurm_scripts_call_srun(tmp_path, script, words, tool):
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    environment = dict(os.environ, PATH=f'{tmp_path}:{os.environ["PATH"]}', GPUS='16',
                       SRUN_ARGS='--exclusive --nice=1')
    done = subprocess.run(['bash', ROOT / 'tools' / script, *words], env=environment, text=True,
                          capture_output=True, check=True)
    lines = done.stdout.splitlines()
    assert {'--partition=part', '--job-name=a job', '--ntasks=16', '--gres=gpu:8', '--exclusive',
            '--nice=1'} <= set(lines)
    assert lines[-len(tool):] == [f'{ROOT}/tools/{tool[0]}', *tool[1:]]


def test_a_job_that_was_told_to_stop_is_requeued_and_goes_on(tmp_path):
    programs = dict(srun='printf "%s\\n" "$@"; exit 85', scontrol='echo scontrol "$@"')
    for name, text in programs.items():
        (tmp_path / name).write_text(f'#!/bin/sh\n{text}\n')
        (tmp_path / name).chmod(0o755)

    def call(script, **more):
        environment = {key: value for key, value in os.environ.items() if 'SLURM' not in key}
        environment |= dict(PATH=f'{tmp_path}:{os.environ["PATH"]}', **more)
        done = subprocess.run(['bash', ROOT / 'tools' / script, 'part', 'job', 'c.py', 'x.pth'],
                              env=environment, text=True, capture_output=True, check=False)
        assert done.returncode == 85
        return done.stdout

    first = call('slurm_train.sh', SLURM_JOB_ID='7')
    assert 'scontrol requeue 7' in first and '--resume' not in first
    assert '--resume' in call('slurm_train.sh', SLURM_JOB_ID='7', SLURM_RESTART_COUNT='1')
    assert 'scontrol' not in call('slurm_train.sh')  # srun has got its own job
    assert '--resume' not in call('slurm_test.sh', SLURM_JOB_ID='7', SLURM_RESTART_COUNT='1')
