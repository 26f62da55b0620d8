"""Embeddings of a benchmark: made by a model, kept by content, or read from a file."""

import hashlib
import io
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain
from os import cpu_count
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import geomammut
from geomammut.errors import UserError
from geomammut.files import content_id, whole_file
from geomammut.model.interface import VisionLanguageModel
from geomammut.pictures import UNREADABLE, open_picture
from geomammut.progress import progress_bar

_IMAGES_AT_ONCE = 64
_TEXTS_AT_ONCE = 256
_ROWS_A_FILE = 1024  # what an interrupted run loses at most


class EmbeddingCache:
    """Keeps a model's embeddings in a folder, found again by the model's weights and the inputs' bytes.

    A file holds some rows and is called by the hash of all that made them, so nothing in it can be stale.
    """

    def __init__(self, folder: Path, model: VisionLanguageModel) -> None:
        self.folder = folder
        self._model = _fingerprint(model)

    def rows(self, kind: str, inputs: Sequence[bytes], make: Callable[[], Tensor | None]) -> Tensor | None:
        """Return the embeddings [N, E] of `inputs`, from the folder or else from `make`, whose None is not kept."""
        path = self.folder / f"{content_id(self._model, kind, *inputs)}.npy"
        try:
            kept = np.load(path, allow_pickle=False)
            if kept.dtype == np.float32 and kept.ndim == 2 and len(kept) == len(inputs):
                return torch.from_numpy(kept)
        except (OSError, ValueError, EOFError):
            pass  # not there, or cut short by a full disk
        made = make()
        if made is not None:
            with whole_file(path) as unfinished:
                np.save(unfinished, made.numpy(), allow_pickle=False)
        return made


def encode_images(
    model: VisionLanguageModel,
    read: Callable[[int], bytes],
    names: Sequence[str],
    cache: EmbeddingCache | None = None,
) -> Tensor:
    """Embed images, read and preprocessed in threads ahead of the model; equal files once, so they stay equal.

    Args:
        model: Gives `preprocess` and `encode_image`.
        read: Index → the bytes of an image file.
        names: What each of the N images is called in a message.
        cache: Where embeddings are looked up and kept.

    Returns:
        [N, E], float32 on the CPU.

    Raises:
        UserError: Some images cannot be read: how many, and which first. A benchmark is whole or void.
    """

    def digest(index: int) -> bytes:
        try:
            return hashlib.blake2b(read(index), digest_size=20).digest()
        except OSError:
            return b"unreadable %d" % index

    broken: dict[int, str] = {}
    parts: list[Tensor | None] = []
    with ThreadPoolExecutor(max(2, cpu_count() or 2)) as pool, progress_bar() as bar:
        task = bar.add_task("reading images", total=len(names))
        digests: list[bytes] = []
        for first in range(0, len(names), _ROWS_A_FILE):
            digests += pool.map(digest, range(first, min(first + _ROWS_A_FILE, len(names))))
            bar.update(task, completed=len(digests))
        chosen, place = _distinct(digests)
        task = bar.add_task("embedding images", total=len(chosen))
        rows = _ROWS_A_FILE if cache else max(1, len(chosen))
        for first in range(0, len(chosen), rows):
            some = chosen[first : first + rows]

            def make(some: Sequence[int] = some) -> Tensor | None:
                return _encode_batches(model, read, some, broken, pool, partial(bar.advance, task))

            parts.append(cache.rows("images", [digests[i] for i in some], make) if cache else make())
            bar.update(task, completed=first + len(some))
    if broken:
        count = sum(chosen[at] in broken for at in place)
        first = min(broken)
        raise UserError(
            f"{count} of {len(names)} images cannot be read, first {names[first]} ({broken[first]}); restore them"
        )
    embeddings = torch.cat([part for part in parts if part is not None])
    if not embeddings.isfinite().all():
        raise UserError(f"{model.name} gives image embeddings that are not finite; its weights are broken")
    return embeddings if len(chosen) == len(names) else embeddings[torch.tensor(place)]


@torch.inference_mode()
def _encode_batches(
    model: VisionLanguageModel,
    read: Callable[[int], bytes],
    indices: Sequence[int],
    broken: dict[int, str],
    pool: ThreadPoolExecutor,
    advance: Callable[[float], None],
) -> Tensor | None:
    """Embed the images at `indices`; None if some image was broken, here or before: `broken` says which."""

    def prepare(index: int) -> Tensor | str:
        try:
            return model.preprocess(open_picture(io.BytesIO(read(index))))
        except UNREADABLE as error:
            return str(error) or type(error).__name__

    batches: list[Tensor] = []
    starts = deque(range(0, len(indices), _IMAGES_AT_ONCE))
    ahead: deque[tuple[Sequence[int], list[Future[Tensor | str]]]] = deque()
    while starts or ahead:
        while starts and len(ahead) < 2:
            first = starts.popleft()
            some = indices[first : first + _IMAGES_AT_ONCE]
            ahead.append((some, [pool.submit(prepare, index) for index in some]))
        some, futures = ahead.popleft()
        images = []
        for index, future in zip(some, futures, strict=True):
            prepared = future.result()
            if isinstance(prepared, str):
                broken[index] = prepared
            else:
                images.append(prepared)
        if not broken:
            batches.append(model.encode_image(torch.stack(images).to(model.device)).float().cpu())
        advance(len(some))
    return None if broken else torch.cat(batches)


def encode_texts(model: VisionLanguageModel, texts: Sequence[str], cache: EmbeddingCache | None = None) -> Tensor:
    """Embed texts as [T, E], float32 on the CPU; equal texts are embedded once, so they stay equal.

    Texts of like length go together, since a batch is padded to its longest.

    Raises:
        UserError: The model's embeddings are not finite.
    """
    distinct = sorted(set(texts), key=lambda text: (len(text), text))
    parts: list[Tensor | None] = []
    for first in range(0, len(distinct), _ROWS_A_FILE):
        some = distinct[first : first + _ROWS_A_FILE]

        def make(some: Sequence[str] = some) -> Tensor:
            return _encode_texts(model, some)

        parts.append(cache.rows("texts", [text.encode() for text in some], make) if cache else make())
    embeddings = torch.cat([part for part in parts if part is not None])
    if not embeddings.isfinite().all():
        raise UserError(f"{model.name} gives text embeddings that are not finite; its weights are broken")
    place = {text: index for index, text in enumerate(distinct)}
    return embeddings[torch.tensor([place[text] for text in texts])]


@torch.inference_mode()
def _encode_texts(model: VisionLanguageModel, texts: Sequence[str]) -> Tensor:
    starts = range(0, len(texts), _TEXTS_AT_ONCE)
    return torch.cat([model.encode_text(texts[first : first + _TEXTS_AT_ONCE]).float().cpu() for first in starts])


def read_both_embeddings(
    images: Path | None, texts: Path | None, rows: tuple[int, int], what: tuple[str, str]
) -> tuple[Tensor, Tensor] | None:
    """Read another system's embeddings of images and texts, where both are given; None where neither is.

    Args:
        images: An .npy file.
        texts: An .npy file.
        rows: How many each must hold.
        what: What a row of each stands for, in what order, for a message.

    Raises:
        UserError: Only one is given, one is not as `read_embeddings` wants it, or they are of different lengths.
    """
    if (images is None) != (texts is None):
        raise UserError("--image-embeddings and --text-embeddings go together; give both")
    if images is None or texts is None:
        return None
    of_images, of_texts = (read_embeddings(Path(p), n, w) for p, n, w in zip((images, texts), rows, what, strict=True))
    if of_images.shape[1] != of_texts.shape[1]:
        raise UserError(
            f"{images} has {of_images.shape[1]} numbers a row, {texts} {of_texts.shape[1]}; "
            "images and texts must be embedded in one space"
        )
    return of_images, of_texts


def read_embeddings(path: Path, rows: int, what: str) -> Tensor:
    """Read embeddings that another system made: an .npy file of numbers [rows, E].

    Args:
        path: The file; float16, float32 or float64.
        rows: How many are needed.
        what: What a row stands for, in what order, for a message.

    Returns:
        [rows, E], float32.

    Raises:
        UserError: No such file, of another shape or kind, or not finite.
    """
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise UserError(f"no embeddings at {path} ({error.strerror or 'not an .npy file'})") from error
    except (ValueError, EOFError) as error:
        raise UserError(f"{path} is no .npy file of numbers; write it with numpy.save") from error
    if not isinstance(stored, np.ndarray) or stored.dtype.kind != "f" or stored.ndim != 2:
        raise UserError(f"{path} must hold one table of floating-point numbers [{rows}, E]; write it with numpy.save")
    if len(stored) != rows:
        raise UserError(f"{path} has {len(stored)} rows, but there must be {rows}: {what}")
    embeddings = np.array(stored, np.float32)
    if not np.isfinite(embeddings).all():
        raise UserError(f"{path} holds numbers that are not finite; they cannot be ranked")
    return torch.from_numpy(embeddings)


def _distinct(digests: Sequence[bytes]) -> tuple[list[int], list[int]]:
    """Return the indices of the first of each kind, and for every digest the place of its kind among them."""
    places: dict[bytes, int] = {}
    chosen: list[int] = []
    place: list[int] = []
    for index, digest in enumerate(digests):
        if digest not in places:
            places[digest] = len(chosen)
            chosen.append(index)
        place.append(places[digest])
    return chosen, place


def _fingerprint(model: VisionLanguageModel) -> str:
    """Return a hash of the weights, and of what becomes of a picture and a sentence.

    Two models of the same weights may differ in their preprocessing or activation; the picture tells.
    """
    ramp = np.arange(97 * 61 * 3, dtype=np.uint32).reshape(61, 97, 3) * 2654435761 >> 24
    picture = model.preprocess(Image.fromarray(ramp.astype(np.uint8)))
    with torch.inference_mode():
        image = model.encode_image(picture[None].to(model.device))
        text = model.encode_text(["An aerial image of a harbour, 3 boats."])
    answers = torch.cat([image, text]).float().cpu()
    digest = hashlib.sha256(f"{geomammut.__version__} {torch.__version__}".encode())
    digest.update(picture.numpy().tobytes())
    digest.update((answers * 1000).round().int().numpy().tobytes())
    for name, tensor in sorted(chain(model.named_parameters(), model.named_buffers()), key=lambda pair: pair[0]):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
