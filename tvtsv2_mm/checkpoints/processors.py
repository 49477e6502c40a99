"""What the processors in folders of transformers' models do to pictures, by their configs.

Only what is known here by name is read: a processor or an option that is not could change pixels.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvtsv2_mm.utils.errors import one_error

from .errors import CheckpointError

# Under which a file of the library names code of its own, which is not run here.
CODE = 'auto_map'
_LARGEST_FILE = 10 * 2**20
_FILES = ('preprocessor_config.json', 'processor_config.json', 'video_preprocessor_config.json')
_PARTS = ('image_processor', 'video_processor')
_TYPES = ('image_processor_type', 'feature_extractor_type', 'video_processor_type')
INTERPOLATIONS = {0: 'nearest', 2: 'bilinear', 3: 'bicubic'}  # numbers of PIL
_Channels = tuple[float, float, float]  # R, G, B


@dataclass(frozen=True, kw_only=True)
class _Kind:
    crops: bool | None = None  # where nothing is said; None: it must be said
    short: bool = False  # whether one number is a size of the short side, and not of both
    options: tuple[str, ...] = ()  # of this processor alone


_CROPPING = _Kind(short=True)
_WHOLE = _Kind(crops=False)
_KINDS = {
    'BitImageProcessor': _CROPPING,
    'BlipImageProcessor': _WHOLE,
    'CLIPImageProcessor': _CROPPING,
    'ChineseCLIPImageProcessor': _CROPPING,
    'DeiTImageProcessor': _Kind(),
    'EfficientNetImageProcessor': _Kind(crops=False, options=('rescale_offset', 'include_top')),
    'LlavaOnevisionVideoProcessor': _WHOLE,
    'MobileNetV1ImageProcessor': _CROPPING,
    'MobileNetV2ImageProcessor': _CROPPING,
    'Siglip2ImageProcessor': _Kind(crops=False, options=('patch_size', 'max_num_patches')),
    'SiglipImageProcessor': _WHOLE,
    'ViTImageProcessor': _WHOLE,
    'VideoMAEImageProcessor': _CROPPING,
}
# That of a type of model where the file names none, as in the library; CLIP's otherwise.
_BY_MODEL = dict(
    align='EfficientNetImageProcessor', blip='BlipImageProcessor',
    chinese_clip='ChineseCLIPImageProcessor', clipseg='ViTImageProcessor',
    siglip='SiglipImageProcessor', siglip2='Siglip2ImageProcessor',
    videoprism='LlavaOnevisionVideoProcessor')
_READ = {'do_resize', 'size', 'default_to_square', 'resample', 'do_center_crop', 'crop_size',
         'do_rescale', 'rescale_factor', 'do_normalize', 'image_mean', 'image_std'}
# What changes no pixel, or is of the choice of frames, which is the protocol's here.
_WITHOUT_MEANING = {
    *_TYPES, 'processor_class', 'do_convert_rgb', 'data_format', 'input_data_format',
    'return_tensors', 'device', 'disable_grouping', 'model_input_names', 'transformers_version',
    '_valid_processor_keys', '_processor_class', 'do_sample_frames', 'num_frames', 'fps',
    'return_metadata', 'video_metadata', 'image_seq_length', 'num_image_tokens',
    'vision_feature_select_strategy'}


@dataclass(frozen=True, kw_only=True)
class Processor:
    """The config of a processor, all of whose options are known here.

    Attributes:
        file: where it was read.
        kind: name of the library's class.
        values: its options.
    """

    file: Path
    kind: str
    values: Mapping[str, Any]

    def told(self, name: str) -> Any:
        """The value of an option.

        Raises:
            CheckpointError: it is not in the file.
        """
        if self.values.get(name) is None:
            raise CheckpointError(f'it leaves {name} to the library: write its value')
        return self.values[name]

    def normalisation(self, default: Mapping[str, Sequence[float]] | None = None) -> tuple[
            _Channels, _Channels]:
        """Mean and std for pixel values 0..255 of all that is done to them, step by step.

        Args:
            default: ``image_mean`` and ``image_std`` where the file does not tell them.

        Raises:
            CheckpointError: they are not numbers, or not told.
        """
        values = {**(default or {}), **{
            name: value for name, value in self.values.items() if value is not None}}
        mean, std = [0.0] * 3, [1.0] * 3  # pixels are (x - mean) / std so far
        if values.get('do_rescale', True):
            std = [1 / _number(values, 'rescale_factor', 1 / 255)] * 3
            if values.get('rescale_offset'):
                mean = list(std)
        steps = []
        if values.get('do_normalize', True):
            steps.append((self._three(values, 'image_mean'), self._three(values, 'image_std')))
        if self.kind.startswith('EfficientNet') and self.told('include_top'):
            steps.append(([0.0] * 3, self._three(values, 'image_std')))
        for own_mean, own in steps:
            mean = [m + x * s for m, x, s in zip(mean, own_mean, std, strict=True)]
            std = [s * x for s, x in zip(std, own, strict=True)]
        if max(mean) <= 1 >= max(std):
            raise CheckpointError(
                f'do_rescale={values.get("do_rescale")} and rescale_factor='
                f'{values.get("rescale_factor")} leave pixels at 0..255, but image_mean and '
                'image_std are of pixels 0..1: write "do_rescale": true and '
                f'"rescale_factor": {1 / 255}, if those were scaled before the processor')
        (m0, m1, m2), (s0, s1, s2) = ([round(x, 8) for x in values] for values in (mean, std))
        return (m0, m1, m2), (s0, s1, s2)

    def _three(self, values: Mapping[str, Any], name: str) -> list[float]:
        """Of each channel; one number is of all, as in the library."""
        value = values[name] if name in values else self.told(name)
        numbers = [*value] if isinstance(value, list | tuple) else [value] * 3
        least = 1e-6 if name == 'image_std' else -1e6
        if len(numbers) != 3 or not all(
                type(x) in (int, float) and least < x < 1e6 for x in numbers):
            raise CheckpointError(f'{name}={str(value)[:80]} must be one number, or three'
                                  f'{", above 0" if name == "image_std" else ""}')
        return numbers

    def sizes(self) -> tuple[int, int, bool]:
        """Pixels of the short side after scaling and after the crop; whether the shape is kept.

        Raises:
            CheckpointError: frames would not get one size, or otherwise than is done here.
        """
        values, own = self.values, _KINDS[self.kind]
        if not values.get('do_resize', True):
            raise CheckpointError('do_resize=False: all frames must get one size')
        crops = own.crops if 'do_center_crop' not in values and own.crops is not None else (
            self.told('do_center_crop'))
        size = self.told('size')
        short = not values.get('default_to_square', not own.short)
        keep_ratio = 'shortest_edge' in size if isinstance(size, dict) else short
        side = size['shortest_edge'] if isinstance(size, dict) and keep_ratio else (
            _square('size', size))
        if not crops:
            if keep_ratio:
                raise CheckpointError(f'size={size} without a crop: all frames must get one size')
            return side, side, keep_ratio
        crop = _square('crop_size', self.told('crop_size'))
        if crop != side and (not keep_ratio or crop > side):
            raise CheckpointError(f'crop_size={values["crop_size"]} of size={size} is not '
                                  'implemented')
        return side, crop, keep_ratio


def read_processor(folder: Path, model_type: str | None) -> Processor | None:
    """Read the config of the processor in a model's folder; None where there is none.

    Args:
        folder: of the model.
        model_type: which decides where the file names no processor.

    Raises:
        CheckpointError: it is damaged, or has a processor or an option that is not known here.
    """
    file = next((folder / name for name in _FILES if (folder / name).is_file()), None)
    if file is None:
        return None
    values = read_json(file)
    check_no_code(values, file)
    values = next((values[name] for name in _PARTS if isinstance(values.get(name), dict)), values)
    check_no_code(values, file)
    with one_error(f'{file} is not known here', CheckpointError):
        option, name = next(
            ((option, values[option]) for option in _TYPES if values.get(option) is not None),
            ('model_type', _BY_MODEL.get(str(model_type), 'CLIPImageProcessor')))
        kind = re.sub('(Fast|Pil)$', '', str(name)).replace('FeatureExtractor', 'ImageProcessor')
        if kind not in _KINDS:
            raise CheckpointError(f'{option}={str(name)[:80]!r} is not implemented; known are '
                                  f'{", ".join(_KINDS)}')
        _check_options(values, kind)
    return Processor(file=file, kind=kind, values=values)


def _check_options(values: Mapping[str, Any], kind: str) -> None:
    known = {*_READ, *_KINDS[kind].options}
    for name, value in values.items():
        # None and False switch something off.
        if name not in known | _WITHOUT_MEANING and value is not None and value is not False:
            raise CheckpointError(
                f'{name[:80]}={repr(value)[:80]} is not implemented for a {kind}; read are '
                f'{", ".join(sorted(known))}')


def _number(values: Mapping[str, Any], name: str, default: float) -> float:
    value = values.get(name, default)
    if type(value) not in (int, float) or not 0 < value < 1e6:
        raise CheckpointError(f'{name}={value!r} is no factor of pixels')
    return value


def _square(name: str, size: Any) -> int:
    if isinstance(size, int):
        return size
    if not isinstance(size, dict) or not {'height', 'width'} <= size.keys():
        raise CheckpointError(f'{name}={size} is not implemented: it must have height and width'
                              f'{", or shortest_edge" if name == "size" else ""}')
    if size['height'] != size['width']:
        raise CheckpointError(f'{name}={size} is no square')
    return size['height']


def check_no_code(values: Mapping[str, Any], file: Path) -> None:
    """Refuse a file that names code beside the weights.

    Raises:
        CheckpointError: it does.
    """
    if values.get(CODE):
        raise CheckpointError(f'{file}: {CODE}={repr(values[CODE])[:80]} is not implemented: code '
                              'of a folder is not run')


def read_tokenizer_config(folder: Path) -> dict[str, Any]:
    """Read what ``tokenizer_config.json`` in a model's folder says; nothing where there is none.

    Raises:
        CheckpointError: it is damaged, or its tokenizer is code of somebody.
    """
    file = folder / 'tokenizer_config.json'
    if not file.is_file():
        return {}
    values = read_json(file)
    check_no_code(values, file)
    if '.' in str(values.get('tokenizer_class')):
        raise CheckpointError(f'{file}: tokenizer_class={str(values["tokenizer_class"])[:80]!r} is '
                              'not implemented: it names code, which is not run; known are the '
                              "classes of transformers, without a '.'")
    return values


def read_json(file: Path) -> dict[str, Any]:
    """Read a small file of names and values.

    Raises:
        CheckpointError: it is none.
    """
    with one_error(f'{file} cannot be read', CheckpointError):
        if file.stat().st_size > _LARGEST_FILE:
            raise CheckpointError(f'it has more than {_LARGEST_FILE} bytes')
        content = json.loads(file.read_text('utf-8'))
        if not isinstance(content, dict):
            raise CheckpointError('it holds no names and values')
    return content
