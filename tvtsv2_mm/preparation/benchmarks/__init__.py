from .class_names import class_names, official_class_names
from .own_csv import read_own_csv
from .paired import read_cia, read_rtime, read_test_of_time, read_vinoground
from .preparation import PreparationReport, Sample, Split, prepare
from .recognition import read_hmdb51, read_kinetics, read_ucf101
from .retrieval import (
    read_activitynet,
    read_didemo,
    read_lsmdc,
    read_msrvtt,
    read_msvd,
    read_vatex,
)
from .something_something import read_ssv2_mc, read_ssv2_retrieval, read_ssv2_temporal

__all__ = [
    'PreparationReport',
    'Sample',
    'Split',
    'class_names',
    'official_class_names',
    'prepare',
    'read_activitynet',
    'read_cia',
    'read_didemo',
    'read_hmdb51',
    'read_kinetics',
    'read_lsmdc',
    'read_msrvtt',
    'read_msvd',
    'read_own_csv',
    'read_rtime',
    'read_ssv2_mc',
    'read_ssv2_retrieval',
    'read_ssv2_temporal',
    'read_test_of_time',
    'read_ucf101',
    'read_vatex',
    'read_vinoground',
]
