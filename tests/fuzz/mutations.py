"""Real containers ▸ files that lie, break off or lead astray."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests import clips

Mutation = Callable[[random.Random, bytes, Sequence[bytes]], bytes]

EXTREMES = (0, 1, 2, 0x7FFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 100_000, 0xFFFF0000)

BOXES = (
    *(b"mvhd", b"tkhd", b"mdhd", b"elst", b"stts", b"ctts", b"stsc", b"stsz", b"stco", b"stss"),
    *(b"avc1", b"avcC", b"trak", b"mdia", b"minf", b"stbl", b"moov", b"mdat", b"ftyp"),
)


def originals(folder: Path) -> list[bytes]:
    """Small videos, one of each container and codec that tests can render."""
    rendered = [
        clips.one_person(folder / "a.mp4", seconds=0.5),
        clips.one_person(folder / "b.mov", seconds=0.4),
        clips.two_people(folder / "c.mp4", seconds=0.5),
        clips.rotated(folder / "d.mp4", 90),
        clips.variable_frame_rate(folder / "e.mp4"),
        clips.vp9_webm(folder / "f.webm", seconds=0.4),
        clips.av1(folder / "g.mp4", seconds=0.4),
        clips.mpeg1(folder / "h.mpg", seconds=0.4),
        clips.mpeg2(folder / "i.ts", seconds=0.4),
        clips.one_person(folder / "j.mkv", seconds=0.4),
        clips.one_person(folder / "k.avi", seconds=0.4, codec="mpeg4"),
        clips.one_person(folder / "l.flv", seconds=0.4, codec="flv1"),
    ]
    return [path.read_bytes() for path in rendered]


def mutant(number: int, seed: int, videos: Sequence[bytes]) -> tuple[str, bytes]:
    """The name of what was done and the file; the same for the same numbers."""
    drawn = random.Random(f"{seed}/{number}")
    name = drawn.choice(list(MUTATIONS))
    content = drawn.choice(videos)
    for _round in range(drawn.choice((1, 1, 1, 2, 3))):
        content = MUTATIONS[name](drawn, content, videos)
    return name, content


def flip_bits(drawn: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    damaged = bytearray(content)
    # Headers are small, and damage there leads further than in pictures.
    reach = drawn.choice((64, 1024, len(content)))
    for _flip in range(drawn.choice((1, 4, 32, 256))):
        damaged[drawn.randrange(min(reach, len(damaged)))] ^= 1 << drawn.randrange(8)
    return bytes(damaged)


def truncate(drawn: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    return content[: drawn.randrange(len(content))]


def cut_out(drawn: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    begin = drawn.randrange(len(content))
    return content[:begin] + content[begin + drawn.choice((1, 7, 512, 4096)) :]


def repeat(drawn: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    begin = drawn.randrange(len(content))
    part = content[begin : begin + drawn.choice((8, 188, 2048))]
    return content[:begin] + part * drawn.choice((2, 50, 1000)) + content[begin:]


def overwrite(drawn: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    damaged = bytearray(content)
    begin = drawn.randrange(len(damaged))
    size = drawn.choice((4, 64, 4096))
    damaged[begin : begin + size] = drawn.choice((b"\0", b"\xff", drawn.randbytes(1))) * size
    return bytes(damaged)


def splice(drawn: random.Random, content: bytes, videos: Sequence[bytes]) -> bytes:
    """One container's beginning, another's rest."""
    other = drawn.choice(videos)
    return other[: drawn.choice((4, 12, 64, 1024, 8192))] + content[drawn.randrange(len(content)) :]


def lie_in_a_box(drawn: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    """An extreme number where an MP4 states a size, a count, a duration or an offset."""
    box = drawn.choice(BOXES)
    at = content.find(box)
    if at < 4:
        return flip_bits(drawn, content, ())
    # Before the name stands the box's size, after it what the box states.
    where = at + drawn.choice((-4, 4, 8, 12, 16, 20, 24, 28, 32, 80, 84))
    number = struct.pack(">I", drawn.choice(EXTREMES))
    return content[:where] + number + content[where + 4 :]


def many_streams(drawn: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    """The track of an MP4 again and again, a million times if it is an empty one."""
    at = content.find(b"moov") - 4
    track = content.find(b"trak") - 4
    if at < 0 or track < 0:
        return repeat(drawn, content, ())
    size = struct.unpack(">I", content[track : track + 4])[0]
    box, times = drawn.choice(
        [(content[track : track + size], 300), (b"\0\0\0\x08trak", 1_000_000)]
    )
    more = box * times
    whole = struct.unpack(">I", content[at : at + 4])[0] + len(more)
    head = struct.pack(">I", min(whole, 0xFFFFFFFF))
    return content[:at] + head + content[at + 4 : track] + more + content[track:]


def huge_picture(drawn: random.Random, content: bytes, videos: Sequence[bytes]) -> bytes:
    """An AVI of raw pictures, 100,000 pixels wide and high, as its header says."""
    avi = next(video for video in videos if video.startswith(b"RIFF"))
    at = avi.find(b"strf") + 8
    header = struct.pack("<IiiHHI", 40, 100_000, drawn.choice((100_000, -100_000)), 1, 24, 0)
    return avi[:at] + header + avi[at + len(header) :]


def nest(drawn: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    """Boxes within boxes within boxes."""
    depth = drawn.choice((10, 1000, 100_000))
    name = drawn.choice((b"moov", b"trak", b"udta", b"meta"))
    sizes = (struct.pack(">I", 8 * (depth - level)) for level in range(depth))
    return content[:32] + b"".join(size + name for size in sizes) + content[32:]


def playlist(drawn: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    """A list of addresses and files where a container is expected, itself among them."""
    target = drawn.choice(("http://127.0.0.1:9/x.ts", "/etc/passwd", "video.mp4", "concat:a|b"))
    listed = drawn.choice(
        (
            f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n" * 50,
            f"ffconcat version 1.0\nfile '{target}'\nduration 0\n" * 50,
            f'<?xml version="1.0"?><MPD><BaseURL>{target}</BaseURL></MPD>',
        )
    ).encode()
    return content[: drawn.choice((0, 4, 12, 64))] + listed


MUTATIONS: Mapping[str, Mutation] = {
    mutation.__name__: mutation
    for mutation in (
        *(flip_bits, truncate, cut_out, repeat, overwrite, splice),
        *(lie_in_a_box, many_streams, huge_picture, nest, playlist),
    )
}
