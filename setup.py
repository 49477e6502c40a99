"""Package tvtsv2_mm, with the tools and configs that mim finds in ``tvtsv2_mm/.mim``."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


def read(name: str) -> str:
    """Read a file of the project."""
    return (ROOT / name).read_text('utf-8')


def requirements(name: str) -> list[str]:
    """Read a file of requirements/ without comments, with the files that it names."""
    found: list[str] = []
    for line in read(f'requirements/{name}.txt').splitlines():
        line = re.sub(r'(^|\s+)#.*', '', line)
        if line.startswith('-r '):
            found += requirements(line[3:].removesuffix('.txt'))
        elif line:
            found.append(line)
    return found


class BuildWithMim(build_py):
    """Put ``.mim`` beside the modules, where mim and mmengine look for tools and configs.

    Both look in site-packages. An editable install has no package there, so it gets a ``.mim`` of
    one-line files that lead to the checkout: nothing there goes stale, and pip can remove it.
    """

    def run(self) -> None:
        """Build, then add ``.mim``."""
        if self.editable_mode:
            library = self.get_finalized_command('install').install_lib
        else:
            library = self.build_lib
            # build/ outlives a build in the checkout: what was deleted since must not come back.
            shutil.rmtree(Path(library, 'tvtsv2_mm'), ignore_errors=True)
        super().run()
        mim = Path(library, 'tvtsv2_mm', '.mim')
        for folder in ('configs', 'tools'):
            shutil.copytree(ROOT / folder, mim / folder,
                            ignore=shutil.ignore_patterns('__pycache__'))
        shutil.copy2(ROOT / 'model-index.yml', mim)
        if self.editable_mode:
            for file in mim.rglob('*.py'):
                file.write_text(self.leading_to(ROOT / file.relative_to(mim)), 'utf-8')

    @staticmethod
    def leading_to(file: Path) -> str:
        """Return the source of a file that stands for another."""
        if file.is_relative_to(ROOT / 'configs'):
            return f'_base_ = [{str(file)!r}]\n'
        return f"import runpy\n\nrunpy.run_path({str(file)!r}, run_name='__main__')\n"


setup(
    name='tvtsv2_mm',
    version=re.search(r"__version__ = '(.+)'", read('tvtsv2_mm/__init__.py'))[1],
    description='TVTSv2, video representations that work out of the box, for OpenMMLab',
    long_description=read('README.md'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    classifiers=[
        *(f'Programming Language :: Python :: 3.{minor}' for minor in (10, 11, 12, 13)),
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    # dataclass(kw_only) and types as X | Y; 3.14 was not tried.
    python_requires='>=3.10',
    # Named so that an editable install is a plain path entry: beside it the folder of `.mim` in
    # site-packages does not hide the package, as it would from setuptools' import hook.
    package_dir={'': '.'},
    packages=find_packages(include=['tvtsv2_mm', 'tvtsv2_mm.*']),
    package_data={'tvtsv2_mm': ['**/*.json', '**/*.txt', 'py.typed']},
    install_requires=requirements('mminstall') + requirements('runtime'),
    extras_require={name: requirements(name)
                    for name in ('video', 'corpus', 'export', 'all', 'tests')},
    cmdclass={'build_py': BuildWithMim},
    zip_safe=False,
)
