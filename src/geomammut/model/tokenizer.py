"""Strings to token ids: a trained `tokenizers` file, or CLIP's byte-pair encoding."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor

from geomammut.errors import UserError
from geomammut.files import whole_file

PAD, START, END, UNKNOWN = "[PAD]", "[START]", "[END]", "[UNK]"


class Tokenizer:
    """Maps strings to ids [B, L] = start, tokens, end, pads; a text too long is cut before its end token."""

    def __init__(self, encoder: FastTokenizer, context_length: int) -> None:
        self.encoder = encoder
        self.context_length = context_length
        self.pad, self.start, self.end = (self._id(token) for token in (PAD, START, END))

    def _id(self, token: str) -> int:
        known = self.encoder.token_to_id(token)
        if known is None:
            raise UserError(f"the tokenizer has no {token} token; train one with `geomammut train`")
        return int(known)

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
        room = self.context_length - 2
        for row, encoding in zip(rows, self.encoder.encode_batch(list(texts)), strict=True):
            ids = [self.start, *encoding.ids[:room], self.end]
            row[: len(ids)] = torch.tensor(ids)
        return rows

    def decode(self, tokens: Tensor) -> list[str]:
        """Return the strings of ids [B, L], each read up to its end token."""
        texts = []
        for row in tokens.tolist():
            ids = row[: row.index(self.end)] if self.end in row else row
            texts.append(self.encoder.decode([token for token in ids if token not in (self.start, self.pad)]))
        return texts


class ClipTokenizer(Tokenizer):
    """CLIP's 49,408-token byte-pair encoding, as open_clip ships it; pads are 0, which is also "!"."""

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

    def __call__(self, texts: Sequence[str]) -> Tensor:
        ids: Tensor = self.clip(list(texts))
        return ids

    def decode(self, tokens: Tensor) -> list[str]:
        texts = []
        for row in tokens.tolist():
            ids = row[: row.index(self.end)] if self.end in row else row
            texts.append(self.clip.decode([token for token in ids if token != self.start]).strip())
        return texts
