"""Watches a process that reads hostile files: what it runs, opens, writes, fetches and takes."""

import mmap
import os
import resource
import sys
from pathlib import Path
from typing import Any

MEMORY = 2 * 2**30  # address space that may come to a process that has read all seeds, bytes
RESIDENT = 512 * 2**20  # of it, what may be resident

_RUNS = ('os.system', 'os.exec', 'os.posix_spawn', 'os.spawn', 'os.startfile', 'pty.spawn',
         'subprocess.Popen', 'webbrowser.open', 'code.interact', 'builtins.input',
         'cpython.run_', 'ctypes.dlsym')
_FETCHES = ('socket.connect', 'socket.bind', 'socket.getaddrinfo', 'socket.gethostby',
            'socket.sendto', 'socket.sendmsg', 'urllib.Request', 'http.client.connect',
            'ftplib.connect', 'smtplib.connect')
_WRITES = ('os.remove', 'os.rename', 'os.mkdir', 'os.rmdir', 'os.link', 'os.symlink',
           'os.truncate', 'os.chmod', 'os.chown', 'os.utime', 'shutil.')
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_OWN_SYMBOLS = ('DECORD', 'Py_IncRef', 'prctl')
# Code that these make is their own: classes of named tuples and data classes, imports.
_MAKERS = ('<frozen importlib', '/collections/__init__.py', '/dataclasses.py', '/enum.py',
           '/typing.py', '/inspect.py', '/functools.py', '/attr/_make.py', '/ast.py')


class Guard:
    """An audit hook; what it sees is told by :meth:`take`, that of forked children too.

    Args:
        folder: the only one in which files may be made, changed and taken away.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = os.path.realpath(folder)
        self.armed = False
        self._shared = mmap.mmap(-1, 2**16)
        self._peak = 0
        sys.addaudithook(self._see)

    def arm(self) -> None:
        """Begin, with all imported that reading needs."""
        used = int(Path('/proc/self/statm').read_text().split()[0]) * mmap.PAGESIZE
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        self._peak = self._resident()
        self._shared[:] = bytes(len(self._shared))
        self.armed = True

    def take(self) -> list[str]:
        """What was seen since the last time; each a line."""
        length = int.from_bytes(self._shared[:4], 'little')
        seen = self._shared[4:4 + length].decode('utf-8', 'replace').splitlines()
        self._shared[:4] = bytes(4)
        resident = self._resident()
        if resident > self._peak + RESIDENT:
            seen.append(f'memory: {(resident - self._peak) >> 20} MB more are resident')
            self._peak = resident
        return [*dict.fromkeys(seen)]

    def _resident(self) -> int:
        """The most that was resident, of this process or of a child that it has."""
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        own = Path(f'/proc/self/task/{os.getpid()}/children')
        for child in own.read_text().split() if own.exists() else ():
            with open(f'/proc/{child}/status') as status:
                most = max([most, *(int(line.split()[1]) * 1024 for line in status
                                    if line.startswith('VmHWM'))])
        return most

    def _see(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.armed:
            return
        if event == 'open':
            path, _, flags = args
            if isinstance(flags, int) and flags & _WRITING and not isinstance(path, int):
                self._outside(event, path)
        elif event.startswith(_WRITES):
            for path in args[:2]:
                if isinstance(path, str | bytes | os.PathLike):
                    self._outside(event, path)
        elif event == 'ctypes.dlsym' and str(args[1]).startswith(_OWN_SYMBOLS):
            pass  # a decoder's process behind one that has crashed looks for them again
        elif event.startswith((*_RUNS, *_FETCHES)):
            self._note(f'{event} {args!r:.200}')
        elif event == 'import':
            name = args[0].split('.')[0]
            if name not in sys.modules and name not in sys.stdlib_module_names:
                self._note(f'import {args[0]}')
        elif event in ('exec', 'compile', 'marshal.loads'):
            # Modules made by Cython compile the names of their own files for tracebacks.
            own = str(args[-1]).split('/')[0] in sys.modules
            if not own and not self._called_by(*_MAKERS):
                self._note(f'{event} {args[-1]!r:.100}')
        elif event == 'pickle.find_class' and not self._called_by(
                '/multiprocessing/connection.py'):  # what a decoder's own process answers
            self._note(f'{event} {args[0]}.{args[1]}')

    def _outside(self, event: str, path: Any) -> None:
        place = os.path.realpath(os.fsdecode(path))
        if not place.startswith((f'{self.folder}/', '/dev/null')) and place != self.folder:
            self._note(f'{event} outside its folder: {place}')

    def _called_by(self, *files: str) -> bool:
        frame: Any = sys._getframe(2)
        for _ in range(12):
            if frame is None:
                return False
            if any(file in frame.f_code.co_filename for file in files):
                return True
            frame = frame.f_back
        return False

    def _note(self, text: str) -> None:
        line = text.replace('\n', ' ').encode('utf-8', 'replace') + b'\n'
        length = int.from_bytes(self._shared[:4], 'little')
        if 4 + length + len(line) <= len(self._shared):
            self._shared[4 + length:4 + length + len(line)] = line
            self._shared[:4] = (length + len(line)).to_bytes(4, 'little')
