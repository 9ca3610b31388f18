"""Valid bytes made invalid, or nearly so: what fuzzed readers are given."""

import random

_EDGES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF, 0x0A, 0x22, 0x5B, 0x7B)


def mutated(data: bytes, source: random.Random, *, others: bytes = b"") -> bytes:
    """``data`` after one to eight changes: flipped, cut, inserted, spliced, doubled, zeroed."""
    changed = bytearray(data)
    for _ in range(source.choice((1, 1, 1, 2, 4, 8))):
        place = source.randrange(len(changed) + 1)
        length = source.choice((1, 2, 4, 8, 64, 512))
        match source.randrange(9):
            case 0 if place < len(changed):
                changed[place] ^= 1 << source.randrange(8)
            case 1 if place < len(changed):
                changed[place] = source.choice(_EDGES)
            case 2:
                changed[place:place] = source.randbytes(length)
            case 3:
                del changed[place : place + length]
            case 4:
                del changed[place:]
            case 5:
                changed[place:place] = changed[place : place + length]
            case 6:
                changed[place : place + length] = bytes(len(changed[place : place + length]))
            case 7 if others:
                start = source.randrange(len(others))
                changed[place : place + length] = others[start : start + length]
            case _:
                other = source.randrange(len(changed) + 1)
                changed[place : place + length] = changed[other : other + length]
    return bytes(changed)


def random_bytes(source: random.Random) -> bytes:
    """Bytes without any sense, or letters and marks that text formats are made of."""
    if source.randrange(2):
        return source.randbytes(source.choice((0, 1, 20, 400)))
    letters = "{}[]()\"'\\:;,.-+*&!#%@|<>=?_ \n\t\r0123456789eEabnrtufxyzNI~é\0"
    return "".join(source.choices(letters, k=source.choice((1, 10, 60, 300)))).encode()
