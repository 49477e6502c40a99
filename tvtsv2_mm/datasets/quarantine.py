"""A list of files that cannot be read, shared by the processes of a run and by later runs."""

import fcntl
import json
import os

from tvtsv2_mm.utils.errors import one_error
from tvtsv2_mm.video.errors import MissingVideoError, SampleError, UnreadableVideoError


class Quarantine:
    """Files to skip at once, and why: JSON lines ``{"path": ..., "reason": ...}``.

    Every process may add to the file at any time; each sees what the others have added. Delete
    lines, or the file, to have videos tried again.

    Args:
        file: The list; it is made with its first entry.

    Raises:
        ValueError: If a line is not such an entry.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self._reasons: dict[str, str] = {}
        self._num_read = 0
        self._num_lines = 0
        self._read_new_lines()

    def __len__(self) -> int:
        return len(self._reasons)

    def check(self, path: str) -> None:
        """Raise if a file is on the list.

        Raises:
            UnreadableVideoError: With the reason that is written there.
        """
        self._read_new_lines()
        if path in self._reasons:
            raise UnreadableVideoError(path, f'in quarantine: {self._reasons[path]}')

    def note(self, error: SampleError) -> None:
        """Put a file on the list if it is the file that is at fault.

        A sample that a draw made unusable is not, nor is a missing file: to look for it again costs
        nothing, and a disk that is not mounted should not condemn what is on it.
        """
        if not isinstance(error, UnreadableVideoError) or isinstance(error, MissingVideoError):
            return
        self._read_new_lines()
        if error.path in self._reasons:
            return
        entry = json.dumps(dict(path=error.path, reason=error.reason), ensure_ascii=False) + '\n'
        with open(self.file, 'ab', buffering=0) as file:
            fcntl.lockf(file, fcntl.LOCK_EX)  # appending alone is not enough on network disks
            end, line = file.seek(0, os.SEEK_END), entry.encode('utf-8', 'surrogateescape')
            try:
                whole = file.write(line) == len(line)
            except OSError:  # a full disk: the file is looked at again the next time
                whole = False
            if not whole:
                file.truncate(end)

    def _read_new_lines(self) -> None:
        try:
            if os.stat(self.file).st_size <= self._num_read:
                return
        except FileNotFoundError:
            return
        with open(self.file, 'rb') as file:
            file.seek(self._num_read)
            for line in file:
                if not line.endswith(b'\n'):
                    return  # another process is about to finish it
                self._num_read += len(line)
                self._num_lines += 1
                with one_error(f'{self.file}, line {self._num_lines}: not an entry of a quarantine '
                               'list, such as {"path": "a.mp4", "reason": "the file is empty"}'):
                    entry = json.loads(line.decode('utf-8', 'surrogateescape'))
                    self._reasons[entry['path']] = entry['reason']
