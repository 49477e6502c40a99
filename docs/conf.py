"""Sphinx reads the documents where they lie: python -m sphinx -W -c docs . OUT

The source folder is the checkout and not ``docs``, so that links between docs, configs, tools and
CONTRIBUTING.md are the same on the site, in an editor and where the repository is hosted.
"""

import tvtsv2_mm

project = 'tvtsv2_mm'
author = copyright = 'the maintainers of tvtsv2_mm'
version = release = tvtsv2_mm.__version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx_copybutton']
root_doc = 'docs/index'
include_patterns = ['docs/**.md', '*.md', 'configs/**.md', 'tools/data/**.md']
exclude_patterns = ['.*', 'build', 'data', 'dist', 'work_dirs']

# Links to #headings: 4 is the deepest that is linked.
myst_heading_anchors = 4
# Docstrings are Google's form, types stand in signatures.
napoleon_numpy_docstring = False
autodoc_member_order = 'bysource'
autodoc_typehints = 'signature'
autodoc_default_options = {'members': True, 'show-inheritance': True}

# Furo: small, reads well on phones and in the dark, and needs nothing but Sphinx, where
# sphinx_book_theme brings bootstrap by way of pydata_sphinx_theme, each pinned to the other.
html_theme = 'furo'
html_title = 'tvtsv2_mm'
# The root of the site leads to docs/index.html.
html_additional_pages = {'index': 'to_docs.html'}
templates_path = ['templates']
