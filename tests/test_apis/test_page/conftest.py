import pytest

from tests.asgi_client import Client
from tests.grey_videos import write_grey_video
from tests.tiny_model import save_tiny_checkpoint
from tvtsv2_mm.apis.features.extract import ExtractionConfig, extract
from tvtsv2_mm.apis.page.app import build_app
from tvtsv2_mm.apis.page.serving import open_library
from tvtsv2_mm.apis.windows import Windows

VTT = ('WEBVTT\n\n00:00:00.000 --> 00:00:01.000\na dog runs\n\n'
       '00:00:03.500 --> 00:00:04.000\n<b>x</b> a cat\n')


@pytest.fixture(scope='session')
def extracted(tmp_path_factory):
    """Features of windows, their checkpoint, and a folder of videos beside which a secret lies."""
    root = tmp_path_factory.mktemp('page')
    corpus = root / 'corpus'
    (corpus / 'a' / 'b').mkdir(parents=True)
    for name, frames in (('a/one.mp4', 40), ('a/b/two & three.mp4', 30), ('top.avi', 20)):
        write_grey_video(corpus / name, num_frames=frames, codec='mpeg4')
    (corpus / 'a/one.vtt').write_text(VTT)
    (root / 'secret.mp4').write_bytes(b'secret')
    checkpoint = save_tiny_checkpoint(root / 'tiny.pth')
    config = ExtractionConfig(weights=str(checkpoint), device='cpu',
                              windows=Windows(seconds=2.0, stride=1.0))
    extract(str(corpus), str(root / 'features'), config, show_progress=False)
    return root


@pytest.fixture(scope='session')
def library(extracted):
    return open_library(extracted / 'features', str(extracted / 'tiny.pth'), device='cpu')


@pytest.fixture(scope='session')
def client(library):
    client = Client(build_app(library, hosts={'127.0.0.1', 'localhost', '::1'}), lifespan=True)
    yield client
    client.close()
