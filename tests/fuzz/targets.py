"""All targets, by name."""

from tests.fuzz import requests, stores, texts, videos, weights

TARGETS = {target.name: target for target in (
    *videos.TARGETS, *texts.TARGETS, *stores.TARGETS, *weights.TARGETS,
    *requests.TARGETS)}
