from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tvtsv2_mm.video import sound
from tvtsv2_mm.video.errors import DecodingTimeoutError, NoSoundError, UnreadableVideoError
from tvtsv2_mm.video.isolated_reader import DecodingProcess
from tvtsv2_mm.video.sound import read_sound
from tvtsv2_mm.video.source import SAMPLE_RATE, VideoSource

CLIPS = Path(__file__).resolve().parents[1] / 'data' / 'videos'


def write_video(path, sounds, rate=48000, pictures=1.0):
    """A video with tones; of each the second at which it starts and how many it lasts."""
    with av.open(str(path), 'w') as container:
        video = container.add_stream('libx264', rate=10, width=32, height=32, pix_fmt='yuv420p')
        audio = container.add_stream('pcm_s16le', rate=rate, layout='stereo')
        for number in range(round(10 * pictures)):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90, np.uint8))
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        step = rate // 20
        for start, seconds in sounds:
            times = np.arange(round(seconds * rate)) / rate
            tone = np.repeat(8000 * np.sin(2 * np.pi * 440 * times), 2).astype(np.int16)
            for first in range(0, len(times), step):
                frame = av.AudioFrame.from_ndarray(
                    tone[None, 2 * first:2 * (first + step)], format='s16', layout='stereo')
                frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = round(start * rate) + first
                container.mux(audio.encode(frame))
        container.mux(audio.encode())
    return str(path)


def heard(path):
    return np.concatenate(list(read_sound(VideoSource(path))))


def tones(samples):
    """The tenths of a second in which there is sound."""
    whole = samples[:len(samples) // 1600 * 1600].reshape(-1, 1600)
    return np.flatnonzero(np.abs(whole).max(1) > 1000).tolist()


def test_it_begins_with_the_pictures_and_gaps_are_silent(tmp_path):
    samples = heard(write_video(tmp_path / 'a.mkv', [(0.5, 0.3), (1.5, 0.2)], pictures=2.0))
    assert samples.dtype == np.int16 and abs(len(samples) - 1.7 * SAMPLE_RATE) < 50
    assert tones(samples) == [5, 6, 7, 15, 16]
    # One channel of the two that are equal, and the tone is the same.
    spectrum = np.abs(np.fft.rfft(samples[8000:12800]))
    assert abs(spectrum.argmax() * SAMPLE_RATE / 4800 - 440) < 4


@pytest.mark.parametrize('rate', [8000, 44100])
def test_any_rate(tmp_path, rate):
    samples = heard(write_video(tmp_path / 'a.mkv', [(0, 0.5)], rate=rate))
    assert abs(len(samples) - SAMPLE_RATE / 2) < 50


def test_blocks_of_half_a_minute_through_a_process(tmp_path):
    path = write_video(tmp_path / 'a.mkv', [(second, 1.0) for second in range(70)])
    blocks = list(DecodingProcess().read_sound(path, deadline=30))
    assert [len(block) // SAMPLE_RATE for block in blocks[:-1]] in ([30, 30], [31, 30])
    assert np.array_equal(np.concatenate(blocks), heard(path))


def test_no_sound():
    with pytest.raises(NoSoundError, match=r'part_0\.mp4: it has no sound'):
        heard(str(CLIPS / 'part_0.mp4'))
    with pytest.raises(NoSoundError):  # from the process too
        list(DecodingProcess().read_sound(str(CLIPS / 'part_0.mp4'), deadline=30))


def test_one_process_reads_one_video(tmp_path):
    process = DecodingProcess()
    path = write_video(tmp_path / 'a.mkv', [(second, 1.0) for second in range(40)])
    blocks = process.read_sound(path, deadline=30)
    next(blocks)
    process.open(path, deadline=30)
    with pytest.raises(RuntimeError, match='opened another video'):
        next(blocks)


def test_bounds(tmp_path, monkeypatch):
    path = write_video(tmp_path / 'a.mkv', [(second, 1.0) for second in range(40)])
    with monkeypatch.context() as patch:
        patch.setattr(VideoSource, 'start_clock', lambda source: setattr(source, '_stop_at', 0.0))
        with pytest.raises(DecodingTimeoutError):
            list(read_sound(VideoSource(path, deadline=30)))
    monkeypatch.setattr(sound, '_LONGEST_S', 20)
    with pytest.raises(UnreadableVideoError, match='its sound is longer than'):
        heard(path)
    with pytest.raises(UnreadableVideoError, match='its sound has 500 samples a second'):
        heard(write_video(tmp_path / 'b.mkv', [(0, 1.0)], rate=500))


def test_a_damaged_time_brings_no_silence(tmp_path, monkeypatch):
    path = write_video(tmp_path / 'a.mkv', [(0, 1.0)])
    frames = sound._frames

    def damaged(*args):
        for number, frame in enumerate(frames(*args)):
            if number == 4:
                frame.pts += round(20 / frame.time_base)
            yield frame

    monkeypatch.setattr(sound, '_frames', damaged)
    assert abs(len(heard(path)) - SAMPLE_RATE) < 50
    # A day ahead, however many frames say so.
    assert len(heard(write_video(tmp_path / 'b.mkv', [(0, 0.5), (90000, 0.5)]))) < 1.1 * SAMPLE_RATE


def test_damaged_bytes_give_sound_or_one_error(tmp_path):
    content = bytearray((CLIPS / 'grid_swwp2s.mpg').read_bytes())
    rng = np.random.default_rng(0)
    path = tmp_path / 'a.mpg'
    for _ in range(8):
        damaged = content.copy()
        for place in rng.integers(len(content), size=400):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            samples = heard(str(path))
        except UnreadableVideoError as error:
            assert str(error).startswith(f'{path}: ')
        else:
            assert samples.any()
