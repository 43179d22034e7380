"""Changes that a file may suffer: cut, overwritten, edited by hand, of another kind, its HDF5 objects exchanged."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np

WORDS = (
    b"", b"nan", b"-nan", b"inf", b"1e999", b"-1", b"0", b"1e-320", b"99999999999999999999999", b"2147483648", b"0x10",
    b"1_0", b"null", b"true", b"~", b"[", b"{", b"]", b"}", b"[]", b"{}", b'"', b"'", b"&a [*a]", b"*a", b"!!binary x",
    b"!!python/none", b"2020-13-45", b"1:99", b"? []", b"<<: 1", b"---", b"%", b"\t",
    b"\n", b"\r", b"\x00", b"\xff\xfe",
    b"\xc3\xa9", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"loop_", b"data_", b";", b"?", b".", b"\\", b"..", b"::",
)  # fmt: skip
"""What people and programs leave in text, and what parsers of YAML, JSON, CIF and numbers stumble over."""
INTEGERS = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    2**40,
    2**62,
    2**63,
    2**64 - 1,
)
NUMBERS = (np.nan, np.inf, -np.inf, -1.0, 0.0, 1e300, -1e300, 1e-320, 2.0**31, 2.0**40)


def mutated_bytes(content: bytes, others: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Return the content of a file after one to four changes of its bytes or text."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        change = _CHANGES[int(rng.integers(len(_CHANGES)))]
        change(data, others, rng)
    return bytes(data)


def _place(data: bytearray, rng: np.random.Generator) -> int:
    return int(rng.integers(len(data))) if data else 0


def _stretch(data: bytearray, rng: np.random.Generator, longest: int = 400) -> slice:
    start = _place(data, rng)
    return slice(start, start + int(rng.integers(1, longest)))


def _cut(data: bytearray, others: Sequence[bytes], rng: np.random.Generator) -> None:
    del data[_place(data, rng) :]


def _flip(data: bytearray, others: Sequence[bytes], rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 9)) if data else 0):
        data[_place(data, rng)] ^= 1 << int(rng.integers(8))


def _overwrite(data: bytearray, others: Sequence[bytes], rng: np.random.Generator) -> None:
    place = _stretch(data, rng)
    n_bytes = len(data[place])
    data[place] = rng.bytes(n_bytes) if rng.random() < 0.5 else bytes([int(rng.choice([0, 255]))]) * n_bytes


def _remove(data: bytearray, others: Sequence[bytes], rng: np.random.Generator) -> None:
    del data[_stretch(data, rng)]


def _repeat(data: bytearray, others: Sequence[bytes], rng: np.random.Generator) -> None:
    place = _stretch(data, rng, 60)
    data[place] = bytes(data[place]) * int(rng.choice([2, 3, 50, 2000]))


def _integer(data: bytearray, others: Sequence[bytes], rng: np.random.Generator) -> None:
    n_bytes, order = int(rng.choice([1, 2, 4, 8])), ("little", "big")[int(rng.integers(2))]
    number = INTEGERS[int(rng.integers(len(INTEGERS)))] % 256**n_bytes
    start = _place(data, rng) // n_bytes * n_bytes
    data[start : start + n_bytes] = number.to_bytes(n_bytes, order)


def _word(data: bytearray, others: Sequence[bytes], rng: np.random.Generator) -> None:
    word = WORDS[int(rng.integers(len(WORDS)))]
    tokens = bytes(data).split() if len(data) < 10**5 else []
    if not tokens or rng.random() < 0.3:
        start = _place(data, rng)
        data[start:start] = word
        return
    token = tokens[int(rng.integers(len(tokens)))]
    start = bytes(data).find(token, _place(data, rng))
    if start >= 0:
        data[start : start + len(token)] = word


def _lines(data: bytearray, others: Sequence[bytes], rng: np.random.Generator) -> None:
    lines = bytes(data).split(b"\n")
    one, other = (int(rng.integers(len(lines))) for _ in range(2))
    action = int(rng.integers(4))
    if action == 0:
        del lines[one]
    elif action == 1:
        lines.insert(other, lines[one])
    elif action == 2:
        lines[one], lines[other] = lines[other], lines[one]
    else:
        lines[one] = lines[one][: len(lines[one]) // 2]
    data[:] = b"\n".join(lines)


def _splice(data: bytearray, others: Sequence[bytes], rng: np.random.Generator) -> None:
    other = others[int(rng.integers(len(others)))]
    if rng.random() < 0.2:
        data[:] = other
    else:
        start = int(rng.integers(len(other))) if other else 0
        data[_stretch(data, rng)] = other[start : start + int(rng.integers(1, 400))]


_Change = Callable[[bytearray, Sequence[bytes], np.random.Generator], None]
_CHANGES: tuple[_Change, ...] = (
    *(_cut, _flip, _flip, _overwrite, _remove, _repeat),
    *(_integer, _integer, _word, _word, _lines, _splice),
)


def mutate_objects(source: Path, target: Path, rng: np.random.Generator) -> str:
    """Copy an HDF5 file with one to three objects or attributes exchanged, and return what was done."""
    shutil.copyfile(source, target)
    done = []
    with h5py.File(target, "r+") as file:
        for _ in range(int(rng.integers(1, 4))):
            names: list[str] = []
            file.visit(names.append)
            if not names:
                break
            name = names[int(rng.integers(len(names)))]
            item = file.get(name)
            if item is None:
                continue
            holder = item if rng.random() < 0.7 else file
            if len(holder.attrs) and rng.random() < 0.35:
                attribute = list(holder.attrs)[int(rng.integers(len(holder.attrs)))]
                done.append(f"{holder.name}@{attribute}: {_exchange_attribute(holder, attribute, rng)}")
            elif isinstance(item, h5py.Dataset):
                done.append(f"{name}: {_exchange_dataset(file, name, rng)}")
            else:
                del file[name]
                done.append(f"{name}: removed")
    return ", ".join(done)


def _exchange_attribute(item: h5py.Group, name: str, rng: np.random.Generator) -> str:
    former = item.attrs[name]
    values = (
        "text", "", np.nan, -1, 0, 2**62, np.arange(3.0), np.zeros((2, 2)), h5py.Empty("f"), np.bytes_(b"\xff\xfe"),
        np.array([], dtype=float), item.ref, True, 1j, np.array(["a", "b"], dtype=object), [-1.0, np.nan, np.inf],
    )  # fmt: skip
    number = int(rng.integers(len(values) + 1))
    del item.attrs[name]
    if number == len(values):
        return "removed"
    value = values[number]
    try:
        item.attrs[name] = value
    except (TypeError, OSError):
        item.attrs[name] = former
        return "kept"
    return repr(value)


def _exchange_dataset(file: h5py.File, name: str, rng: np.random.Generator) -> str:
    former = file[name]
    known = former.shape is not None and former.size < 10**6  # and not made huge before
    values = np.asarray(former[()]) if known else np.zeros(3)
    action = ("removed", "type", "shape", "number", "huge", "link", "group", "text", "empty")[int(rng.integers(9))]
    if action == "number" and known and values.size and values.dtype.kind in "iuf":
        changed = values.copy()
        place = np.unravel_index(int(rng.integers(values.size)), values.shape)
        with np.errstate(all="ignore"):
            value = np.float64(NUMBERS[int(rng.integers(len(NUMBERS)))])
            changed[place] = value.astype(values.dtype)
        former[()] = changed
        return f"{place} = {changed[place]}"
    shape, dtype = values.shape, former.dtype
    if dtype.kind == "O":
        dtype = h5py.string_dtype()
    del former, file[name]
    if action == "type":
        kinds = ("f2", "f8", "i1", "i8", "u8", "?", "c16", "S3", h5py.string_dtype(), [("a", "i4"), ("b", "f4")], ">i2")
        chosen = kinds[int(rng.integers(len(kinds)))]
        file.create_dataset(name, shape, dtype=chosen)
        return f"type {chosen}"
    if action == "shape":
        shapes = (values[..., None], values.ravel(), values[:0] if values.ndim else values[None][:0], values[None])
        changed = shapes[int(rng.integers(len(shapes)))]
        file[name] = changed if changed.dtype.kind != "O" else np.zeros(changed.shape)
        return f"shape {changed.shape}"
    if action == "huge":
        long = (2**31 + 5, *shape[1:]) if rng.random() < 0.5 else (2**50, *shape[1:])
        file.create_dataset(name, long, dtype=dtype, chunks=(1024, *(max(1, n) for n in shape[1:])))
        return f"shape {long}, never written"
    if action == "link":
        links = (h5py.SoftLink(f"/{name}"), h5py.SoftLink("/nowhere"), h5py.ExternalLink("none.h5", "/x"))
        file[name] = links[int(rng.integers(len(links)))]
    elif action == "group":
        file.create_group(name)
    elif action == "text":
        file[name] = ("", "{", "[1, 2", "null", "[[]]", '{"panels": [], "frame_shape": [-1, 1e99]}')[
            int(rng.integers(6))
        ]
    elif action == "empty":
        file[name] = h5py.Empty(dtype if dtype.kind in "iuf" else "f4")
    return action
