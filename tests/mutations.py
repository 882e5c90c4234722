"""Random damage to a text, by seed: what people, editors and broken transfers do to a file.

>>> mutated("name: call", 7) == mutated("name: call", 7)
True
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

_WORDS = (
    "null", "true", "yes", "[]", "{}", "[", "}", "&a", "*a", "<<: *a", "!!python/object:os.system", "|", ">", "? x",
    "10" * 200, "-1", "1e400", "0x1f", ".nan", "5s", "99999999h", "0s", "''", "'", '"', "In('x')", "a.b.*", "*",
    "event", "target", "states", "when", "initial", "parallel", "history", "after", "__class__", "é", "🎉", "\u202e",
    "\x00", "\t", "\ufeff", "a" * 5_000, "(" * 300, "not " * 200, "done.state.x", "data.x.__init__", "---", "...", "#",
)  # fmt: skip


def mutated(text: str, seed: int) -> str:
    """The text with one to four things wrong."""
    random = Random(seed)
    for _ in range(random.randint(1, 4)):
        damage: Callable[[str, Random], str] = random.choice(_MUTATIONS)
        text = damage(text, random)
    return text


def _line(text: str, random: Random) -> tuple[list[str], int]:
    lines = text.split("\n")
    return lines, random.randrange(len(lines))


def _delete_line(text: str, random: Random) -> str:
    lines, at = _line(text, random)
    del lines[at : at + random.randint(1, 3)]
    return "\n".join(lines)


def _duplicate_line(text: str, random: Random) -> str:
    lines, at = _line(text, random)
    lines[at:at] = [lines[at]] * random.choice((1, 1, 1, 500))
    return "\n".join(lines)


def _swap_lines(text: str, random: Random) -> str:
    lines, at = _line(text, random)
    other = random.randrange(len(lines))
    lines[at], lines[other] = lines[other], lines[at]
    return "\n".join(lines)


def _indent(text: str, random: Random) -> str:
    lines, at = _line(text, random)
    lines[at] = random.choice((" ", "  ", "    ", "\t", " " * 200)) + lines[at]
    return "\n".join(lines)


def _dedent(text: str, random: Random) -> str:
    lines, at = _line(text, random)
    lines[at] = lines[at].lstrip()
    return "\n".join(lines)


def _change_character(text: str, random: Random) -> str:
    at = random.randrange(len(text) + 1)
    put: str = random.choice((*":-{}[],#&*!|>'\"%@` \n0aZ_.", chr(random.randrange(1, 0xD800)), ""))
    return text[:at] + put + text[at + random.randint(0, 2) :]


def _change_word(text: str, random: Random) -> str:
    words = text.split(" ")
    words[random.randrange(len(words))] = random.choice((random.choice(words), random.choice(_WORDS)))
    return " ".join(words)


def _put_word(text: str, random: Random) -> str:
    at = random.randrange(len(text) + 1)
    return text[:at] + random.choice(_WORDS) + text[at:]


def _change_key(text: str, random: Random) -> str:
    lines, at = _line(text, random)
    key, colon, rest = lines[at].partition(":")
    lines[at] = random.choice((key[:-1], key + "s", key.upper(), key.strip() + " ", "1", "")) + colon + rest
    return "\n".join(lines)


def _change_value(text: str, random: Random) -> str:
    lines, at = _line(text, random)
    lines[at] = f"{lines[at].partition(':')[0]}: {random.choice(_WORDS)}"
    return "\n".join(lines)


def _alias_bomb(text: str, random: Random) -> str:
    bomb = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    bomb += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, random.randint(2, 12))]
    return "\n".join([*bomb, text])


def _nest(text: str, random: Random) -> str:
    at = random.randrange(len(text) + 1)
    return text[:at] + random.choice(("[", "{a: ", "- ", "(")) * random.choice((10, 200, 5_000)) + text[at:]


def _truncate(text: str, random: Random) -> str:
    return text[: random.randrange(len(text) + 1)]


def _repeat(text: str, random: Random) -> str:
    return text * random.choice((2, 2, 20))


_MUTATIONS: tuple[Callable[[str, Random], str], ...] = (
    _delete_line, _duplicate_line, _swap_lines, _indent, _dedent, _change_character, _change_character, _change_word,
    _put_word, _change_key, _change_value, _alias_bomb, _nest, _truncate, _repeat,
)  # fmt: skip
