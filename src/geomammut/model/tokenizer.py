"""Strings to token ids: a `tokenizers` file, CLIP's byte-pair encoding, or a SentencePiece model."""

from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path

import torch
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor

from geomammut.errors import UserError
from geomammut.files import whole_file

PAD, START, END, UNKNOWN = "[PAD]", "[START]", "[END]", "[UNK]"
# What files made elsewhere call them.
_STARTS = (START, "<s>", "<bos>", "<|startoftext|>", "[CLS]")
_ENDS = (END, "</s>", "<eos>", "<|endoftext|>", "[SEP]")
_PADS = (PAD, "<pad>", "<|pad|>", *_ENDS)  # what stands after the end is not read


class Tokenizer:
    """Maps strings to ids [B, L] = start, tokens, end, pads; a text too long is cut before its end token."""

    name = "tokenizer.json"  # in a model directory

    def __init__(self, encoder: FastTokenizer, context_length: int) -> None:
        self.encoder = encoder
        self.context_length = context_length
        self.pad, self.start, self.end = (self._first(tokens) for tokens in (_PADS, _STARTS, _ENDS))

    def _first(self, tokens: Sequence[str]) -> int:
        known = [number for token in tokens if (number := self.encoder.token_to_id(token)) is not None]
        if not known:
            raise UserError(
                f"the tokenizer has none of the tokens {', '.join(tokens)}; it cannot mark a text's borders"
            )
        return int(known[0])

    @property
    def vocab_size(self) -> int:
        return int(self.encoder.get_vocab_size())

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int, context_length: int) -> "Tokenizer":
        """Learn a lower-casing byte-pair encoding of at most `vocab_size` tokens from `texts`."""
        encoder = FastTokenizer(models.BPE(unk_token=UNKNOWN))
        encoder.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
        encoder.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), pre_tokenizers.Metaspace()])
        encoder.decoder = decoders.Metaspace()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=[PAD, START, END, UNKNOWN],
            min_frequency=2,
            show_progress=False,
        )
        encoder.train_from_iterator(texts, trainer)
        return cls(FastTokenizer.from_str(encoder.to_str()), context_length)

    @classmethod
    def read(cls, path: Path, context_length: int) -> "Tokenizer":
        """Read a `tokenizer.json`; raise UserError where it is missing or broken."""
        try:
            return cls(FastTokenizer.from_str(path.read_text(encoding="utf-8")), context_length)
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path} cannot be read ({error}); a model directory holds its tokenizer") from error
        except Exception as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{path} is no tokenizer file: {str(error).splitlines()[0]}") from error

    def write(self, path: Path) -> None:
        with whole_file(path) as partial:
            partial.write_text(self.encoder.to_str(pretty=True), encoding="utf-8")

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Return ids [B, context_length]."""
        rows = torch.full((len(texts), self.context_length), self.pad, dtype=torch.long)
        for row, own in zip(rows, self._encode(list(texts)), strict=True):
            ids = [self.start, *own[: self.context_length - 2], self.end]
            row[: len(ids)] = torch.tensor(ids)
        return rows

    def decode(self, tokens: Tensor) -> list[str]:
        """Return the strings of ids [B, L], each read up to its end token."""
        texts = []
        for row in tokens.tolist():
            ids = row[: row.index(self.end)] if self.end in row else row
            texts.append(self._decode([token for token in ids if token not in self._silent]))
        return texts

    @property
    def _silent(self) -> set[int]:
        """What stands before the end token and is no part of the text."""
        return {self.start, self.pad}

    def _encode(self, texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self.encoder.encode_batch(texts, add_special_tokens=False)]

    def _decode(self, ids: list[int]) -> str:
        return str(self.encoder.decode(ids))


class ClipTokenizer(Tokenizer):
    """CLIP's 49,408-token byte-pair encoding, as open_clip ships it; pads are 0, which is also "!"."""

    name = "clip"

    def __init__(self, context_length: int) -> None:
        from open_clip.tokenizer import SimpleTokenizer  # noqa: PLC0415 (slow to import, seldom needed)

        self.clip = SimpleTokenizer(context_length=context_length)
        self.context_length = context_length
        self.pad, self.start, self.end = 0, 49406, 49407

    @property
    def vocab_size(self) -> int:
        return 49408

    def write(self, path: Path) -> None:
        """Write nothing: the configuration names it."""

    @property
    def _silent(self) -> set[int]:
        return {self.start}

    def _encode(self, texts: list[str]) -> list[list[int]]:
        return [self.clip.encode(text) for text in texts]

    def _decode(self, ids: list[int]) -> str:
        return str(self.clip.decode(ids)).strip()


class SentencePieceTokenizer(Tokenizer):
    """A SentencePiece model, as T5, Gemma and SigLIP have; see Tokenizer."""

    name = "tokenizer.model"

    def __init__(self, path: Path, context_length: int) -> None:
        try:
            library = import_module("sentencepiece")  # an extra of the set-up
        except ImportError as error:
            raise UserError(f"{path} needs SentencePiece; `pip install 'geomammut[sentencepiece]'`") from error
        try:
            self.model = path.read_bytes()
            self.pieces = library.SentencePieceProcessor(model_proto=self.model)
        except (OSError, RuntimeError) as error:
            raise UserError(f"{path} is no SentencePiece model ({' '.join(str(error).split())[:120]})") from error
        self.context_length = context_length
        self.end = self.pieces.eos_id()
        self.pad = self.pieces.pad_id() if self.pieces.pad_id() >= 0 else self.end
        self.start = self.pieces.bos_id() if self.pieces.bos_id() >= 0 else self.pad
        if self.end < 0:
            raise UserError(f"{path} has no end token; it cannot mark where a text ends")

    @property
    def vocab_size(self) -> int:
        return int(self.pieces.get_piece_size())

    def write(self, path: Path) -> None:
        with whole_file(path) as partial:
            partial.write_bytes(self.model)

    def _encode(self, texts: list[str]) -> list[list[int]]:
        ids: list[list[int]] = self.pieces.encode(texts)
        return ids

    def _decode(self, ids: list[int]) -> str:
        return str(self.pieces.decode(ids))


def named_tokenizer(name: str, context_length: int) -> Tokenizer:
    """Return the tokenizer "clip", or that of a file: `….json` of `tokenizers`, `….model` of SentencePiece.

    Raises:
        UserError: It is none of these, or cannot be read.
    """
    if name == ClipTokenizer.name:
        return ClipTokenizer(context_length)
    match Path(name).suffix:
        case ".json":
            return Tokenizer.read(Path(name), context_length)
        case ".model":
            return SentencePieceTokenizer(Path(name), context_length)
    raise UserError(f'there is no tokenizer {name!r}; give "clip", a tokenizers .json or a SentencePiece .model')
