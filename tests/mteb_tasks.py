"""Small tasks of mteb's own classes, of real clips and made texts."""

from datasets import Audio, Dataset, DatasetDict, Video
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.abstasks.zeroshot_classification import AbsTaskZeroShotClassification

from tests.tiny_model import NAMES, VIDEOS

PATHS = [str(VIDEOS / name) for name in NAMES]
TEXTS = ['a drawing', 'a man speaks', 'people in a room', 'a street']
FILES = [dict(path=PATHS[0]), dict(bytes=(VIDEOS / NAMES[1]).read_bytes()), dict(path=PATHS[2]),
         dict(path=PATHS[3])]


def metadata(name, kind, category, modalities, main_score):
    return TaskMetadata(
        name=name, description='made for a test', dataset=dict(path='nowhere', revision='1'),
        type=kind, category=category, modalities=modalities, eval_splits=['test'],
        eval_langs=['eng-Latn'], main_score=main_score, reference=None, date=None, domains=None,
        task_subtypes=None, license=None, annotations_creators=None, dialect=None,
        sample_creation=None, bibtex_citation=None)


def videos(files=FILES):
    return Dataset.from_dict(dict(video=files)).cast_column('video', Video())


class Find(AbsTaskRetrieval):
    """The video of each text; the k-th is that of the k-th."""

    metadata = metadata('Find', 'Any2AnyRetrieval', 't2v', ['text', 'video'], 'ndcg_at_10')
    queries = Dataset.from_dict(dict(text=TEXTS))
    corpus = videos()

    def load_data(self, **_):
        def named(letter, samples):
            return samples.add_column('id', [f'{letter}{i}' for i in range(len(samples))])

        self.dataset = dict(default=dict(test=dict(
            queries=named('q', self.queries), corpus=named('d', self.corpus), top_ranked=None,
            relevant_docs={f'q{i}': {f'd{i}': 1} for i in range(len(self.queries))})))
        self.data_loaded = True


class FindByVideoAndText(Find):
    """Texts by a video with another text."""

    metadata = metadata('FindByBoth', 'Any2AnyRetrieval', 'vt2t', ['text', 'video'], 'ndcg_at_10')
    queries = videos().add_column('text', TEXTS[::-1])
    corpus = Dataset.from_dict(dict(text=TEXTS))


class FindByEar(Find):
    """Videos by sounds."""

    metadata = metadata('FindByEar', 'Any2AnyRetrieval', 'a2v', ['audio', 'video'], 'ndcg_at_10')
    queries = Dataset.from_dict(dict(audio=PATHS)).cast_column('audio', Audio())


class Label(AbsTaskZeroShotClassification):
    """The text of each video out of two."""

    metadata = metadata('Label', 'VideoZeroshotClassification', 'v2c', ['video', 'text'],
                        'accuracy')
    input_column_name = 'video'

    def load_data(self, **_):
        samples = videos().add_column('label', [0, 1, 0, 1])
        self.dataset = DatasetDict(test=samples)
        self.data_loaded = True

    def get_candidate_labels(self):
        return TEXTS[:2]
