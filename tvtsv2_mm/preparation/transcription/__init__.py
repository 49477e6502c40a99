"""Transcripts of videos that have none, by Whisper."""

from .folder import TranscriptionReport, transcribe_folder
from .whisper import Whisper, find_whisper, load_whisper

__all__ = ['TranscriptionReport', 'Whisper', 'find_whisper', 'load_whisper', 'transcribe_folder']
