"""Package tvtsv2_mm, with the tools and configs that mim finds in ``tvtsv2_mm/.mim``."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
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
        copy_mim(Path(library, 'tvtsv2_mm', '.mim'), ROOT if self.editable_mode else None)


class WheelWithMim(bdist_wheel):
    """Put a ``.mim`` that leads to the other into the metadata.

    onedl-mim takes the first folder of an installation for the package, which is the metadata where
    a distribution is named as its package.
    """

    def write_wheelfile(self, wheelfile_base: str, *words: str) -> None:
        """Write the last file of the metadata, and ``.mim``."""
        super().write_wheelfile(wheelfile_base, *words)
        copy_mim(Path(wheelfile_base, '.mim'), Path('..', 'tvtsv2_mm', '.mim'))


def copy_mim(mim: Path, leading_to: Path | None) -> None:
    """Copy configs, tools and model index; or sources of one line that lead to those in a folder.

    Args:
        mim: Where to copy to.
        leading_to: The folder; a relative one is seen from the folder that holds ``mim``.
    """
    for folder in ('configs', 'tools'):
        shutil.copytree(ROOT / folder, mim / folder, ignore=shutil.ignore_patterns('__pycache__'))
    shutil.copy2(ROOT / 'model-index.yml', mim)
    for file in mim.rglob('*.py') if leading_to else ():
        name = file.relative_to(mim)
        other = Path(*['..'] * len(name.parts), leading_to, name)
        file.write_text(
            f'_base_ = [{str(other)!r}]\n' if name.is_relative_to('configs') else
            'import runpy\nfrom pathlib import Path\n\nrunpy.run_path('
            f"str(Path(__file__).resolve().parent / {str(other)!r}), run_name='__main__')\n",
            'utf-8')


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
    package_data={'tvtsv2_mm': ['**/*.json', '**/*.txt', 'py.typed', 'apis/page/*.html',
                                'apis/page/*.css', 'apis/page/*.js', 'apis/page/*.svg']},
    install_requires=requirements('mminstall') + requirements('runtime'),
    extras_require={name: requirements(name)
                    for name in ('video', 'weights', 'corpus', 'finetune', 'export', 'mteb',
                                 'speech', 'page', 'all', 'tests')},
    cmdclass={'build_py': BuildWithMim, 'bdist_wheel': WheelWithMim},
    zip_safe=False,
)
