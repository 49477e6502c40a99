import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.runner.checkpoint import CheckpointLoader

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
    runner = run('train', CONFIG, '--no-validate', '--auto-scale-lr', '--seed', '7')
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


def test_a_config_that_lacks_what_an_argument_needs(run, capsys, tmp_path):
    config = tmp_path / 'bare.py'
    config.write_text('model = dict()')
    (tmp_path / 'x.pth').touch()
    assert 'base_batch_size' in refusal(run, capsys, 'train', config, '--auto-scale-lr')
    assert 'no test_dataloader' in refusal(run, capsys, 'test', config, 'x.pth')
    assert '.pkl' in refusal(run, capsys, 'test', CONFIG, 'x.pth', '--dump', 'predictions.json')


def test_dist_scripts_on_two_processes_from_another_folder(tmp_path, free_port):
    """Nothing is set for a CPU; words with blanks reach the tool in one piece."""
    path = f'{Path(sys.executable).parent}:{os.environ["PATH"]}'
    environment = dict(os.environ, PATH=path, PORT=str(free_port), PYTHONPATH=str(ROOT),
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
