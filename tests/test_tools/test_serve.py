import json
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

from tests.tiny_model import ROOT, VIDEOS, save_tiny_checkpoint


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    return save_tiny_checkpoint(tmp_path_factory.mktemp('weights') / 'tiny.pth')


def test_extract_serve_and_ask(run, checkpoint, tmp_path, capsys):
    run('extract_features', VIDEOS, 'out', '-C', checkpoint, '--device', 'cpu', '--num-workers', 0)
    words = [sys.executable, str(ROOT / 'tools/serve.py'), 'out', '-C', str(checkpoint),
             '--device', 'cpu', '--port', '0', '--token', 'token-of-mine']
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as server:
        try:
            [line] = [server.stdout.readline()]
            address = re.match(r'(http://127\.0\.0\.1:\d+/)\?token=token-of-mine ', line)[1]
            request = urllib.request.Request(f'{address}api/search?text=a%20man', headers={
                'Authorization': 'Bearer token-of-mine'})
            with urllib.request.urlopen(request, timeout=60) as answer:
                found = json.loads(answer.read())['moments']
            # Whole videos: where to play is not known.
            assert len(found) == 4 and {moment['start'] for moment in found} == {None}
        finally:
            server.send_signal(signal.SIGINT)
            _, told = server.communicate(timeout=30)
    assert server.returncode == 0 and 'Traceback' not in told

    (tmp_path / 'out/source.json').unlink()
    capsys.readouterr()
    for more, message in (([], 'does not say where its videos lie'),
                          (['--videos', 'gone'], 'there is no folder gone of the videos'),
                          (['--videos', VIDEOS, '--token', 'x'], 'a token is 8 to 200 letters'),
                          (['--videos', VIDEOS, '--port', 99999], 'cannot be taken')):
        with pytest.raises(SystemExit):
            run('serve', 'out', '-C', checkpoint, '--device', 'cpu', '--texts-only', *more)
        assert message in capsys.readouterr().err
