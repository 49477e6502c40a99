"""A page in the browser to find moments with, and the JSON API behind it."""
