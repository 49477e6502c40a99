"""What other processes have made may be seen late; the rest is tested with what is built on it."""

from threading import Timer

import pytest

from tvtsv2_mm.utils.parts import PartStore


def test_parts_that_are_seen_late_are_waited_for_and_not_left_out(tmp_path):
    store = PartStore(tmp_path, {})
    with store.locked():
        store.begin(dict(a=1))
        store.write_record(0, {})
        Timer(0.3, lambda: store.write_record(1, {})).start()
        store.wait_for([0, 1])
        assert [part['number'] for part in store.parts()] == [0, 1]
        with pytest.raises(RuntimeError, match=r'1 parts .* cannot be seen in .*first is 00000007'):
            store.wait_for([0, 7], seconds=0.1)


def test_what_a_killed_run_left_is_removed(tmp_path):
    store = PartStore(tmp_path, {})
    with store.locked():
        for draft in ('.meta.json.0a0a0a0a.part', 'parts/.00000000.npy.0a0a0a0a.part'):
            (tmp_path / draft).touch()
        store.begin(dict(a=1))
    assert sorted(path.name for path in tmp_path.rglob('*') if path.is_file()) == [
        '.lock', 'meta.json']
