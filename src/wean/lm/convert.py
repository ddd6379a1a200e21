"""From a GGUF file to a folder that transformers reads in a second: weights, configuration, tokenizer."""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wean.errors import WeanError
from wean.extras import quiet, require


def gguf_to_folder(source: Path, folder: Path) -> None:
    """Unpack a GGUF file into safetensors, configuration and tokenizer files.

    The weights become dense float32: the values that the quantised blocks stand for, without a second
    rounding.

    Args:
        source: The `.gguf` file of a causal language model.
        folder: Existing folder that receives the files.

    Raises:
        UsageError: The extra `lm` is not installed.
        WeanError: The file is broken or of an architecture that transformers cannot read.
    """
    transformers, torch = require("transformers"), require("torch")
    require("gguf")
    options: dict[str, Any] = {"gguf_file": source.name, "dtype": torch.float32}
    # Newer releases can keep the blocks packed; a dense model is what can be saved, trained and scored
    # exactly.
    gguf_config = getattr(transformers, "GgufConfig", None)
    if gguf_config is not None:
        options["quantization_config"] = gguf_config(dequantize=True)
    try:
        # One bar of transformers is drawn without asking its own switch.
        with quiet(), contextlib.redirect_stderr(io.StringIO()), _alone(source) as place:
            tokenizer = transformers.AutoTokenizer.from_pretrained(place, gguf_file=source.name)
            model = transformers.AutoModelForCausalLM.from_pretrained(place, **options)
            _mend_pre_tokenizer(source, tokenizer)
            model.hf_quantizer = None
            model.config.name_or_path = ""
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    except Exception as error:
        # A damaged file fails somewhere inside the reader, as one of many kinds of error with the same remedy.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeanError(
            f"{source.name} cannot be converted: {reason}; get the file again or use a safetensors model"
        ) from error


@contextlib.contextmanager
def _alone(source: Path) -> Iterator[Path]:
    """A folder with nothing but the file: transformers would mix in what lies beside it, such as a configuration."""
    with tempfile.TemporaryDirectory(prefix="wean-gguf-") as name:
        place = Path(name)
        try:
            (place / source.name).symlink_to(source.resolve())
        except OSError:
            shutil.copyfile(source, place / source.name)
        yield place


def _mend_pre_tokenizer(source: Path, tokenizer: Any) -> None:
    """Split digits one by one before the byte-level rule where the file asks for it.

    transformers builds the plain byte-level rule for the `smollm` family, which tokenises two spaces before a
    digit otherwise than the model was trained on.
    """
    reader = require("gguf").GGUFReader(str(source))
    field = reader.get_field("tokenizer.ggml.pre")
    if field is None or field.contents() != "smollm":
        return
    rules = require("tokenizers").pre_tokenizers
    tokenizer.backend_tokenizer.pre_tokenizer = rules.Sequence(
        [rules.Digits(individual_digits=True), rules.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
