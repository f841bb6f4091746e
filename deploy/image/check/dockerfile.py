"""A Dockerfile as stages of instructions: as much of the language as deploy/image/Dockerfile uses, and an error for the rest."""

import dataclasses
import json
import pathlib
import posixpath
import re
import shlex

ROOT = pathlib.Path(__file__).resolve().parents[3]
PATH = ROOT / "deploy" / "image" / "Dockerfile"

KNOWN = {
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "SHELL", "STOPSIGNAL", "USER",
    "VOLUME", "WORKDIR",
}
# What they mean is known here too; the others are for the linters to refuse.
CARRIED_OUT = KNOWN - {"ADD", "EXPOSE", "HEALTHCHECK", "SHELL"}


class Unclear(Exception):
    """A line that this file does not understand."""


@dataclasses.dataclass(frozen=True)
class Instruction:
    line: int
    name: str
    flags: tuple
    text: str

    def flag(self, name):
        """Values of a flag, which may stand there more than once."""
        return [value for key, value in self.flags if key == name]

    def words(self):
        """Arguments: a JSON array, or words with their quotes taken off."""
        if self.text.startswith("["):
            return json.loads(self.text)
        return shlex.split(self.text)

    def pairs(self):
        """KEY=VALUE arguments; None where an ARG has no value."""
        return {key: value if equals else None for key, equals, value in (word.partition("=") for word in self.words())}


@dataclasses.dataclass
class Stage:
    name: str
    base: str
    line: int
    instructions: list


class Dockerfile:
    def __init__(self, text):
        self.text = text
        self.arguments, self.stages = {}, {}
        for instruction in instructions(text):
            if instruction.name == "FROM":
                words = instruction.words()
                if len(words) != 3 or words[1].upper() != "AS" or words[2] in self.stages:
                    raise Unclear(f"line {instruction.line}: FROM image AS name, each name once")
                self.stages[words[2]] = stage = Stage(words[2], words[0], instruction.line, [])
            elif self.stages:
                stage.instructions.append(instruction)
            elif instruction.name == "ARG":
                self.arguments |= instruction.pairs()
            else:
                raise Unclear(f"line {instruction.line}: {instruction.name} before the first FROM")

    def base(self, stage):
        """What a stage begins with: the name of another one, or an image."""
        return substitute(stage.base, self.arguments)

    def chain(self, name):
        """The stage and those that it is FROM, the last one first."""
        while name in self.stages:
            yield self.stages[name]
            name = self.base(self.stages[name])

    def targets(self):
        """Stages that no other one uses."""
        used = {self.base(stage) for stage in self.stages.values()}
        for stage in self.stages.values():
            for instruction in stage.instructions:
                used.update(instruction.flag("from"))
        chosen = {stage.base.split("${")[0] for stage in self.stages.values() if "${" in stage.base}
        return [name for name in self.stages if name not in used and not any(part and name.startswith(part) for part in chosen)]


def load():
    return Dockerfile(PATH.read_text())


def instructions(text):
    began, parts = 0, []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("#") or not stripped:
            if re.match(r"#\s*(syntax|escape)\s*=", stripped):
                raise Unclear(f"line {number}: directives are not known here")
            continue
        began = began or number
        parts.append(stripped.removesuffix("\\").rstrip())
        if stripped.endswith("\\"):
            continue
        yield instruction(began, " ".join(parts))
        began, parts = 0, []
    if parts:
        raise Unclear(f"line {began}: it does not end")


def instruction(line, text):
    name, _, rest = text.partition(" ")
    name, rest, flags = name.upper(), rest.strip(), []
    if name not in KNOWN or "<<" in rest:
        raise Unclear(f"line {line}: {text[:40]}")
    while match := re.match(r"--([a-z-]+)=(\S+)\s+", rest):
        flags.append((match[1], match[2]))
        rest = rest[match.end():]
    return Instruction(line, name, tuple(flags), rest)


def substitute(text, values):
    def value(match):
        name = match[1] or match[2]
        if values.get(name) is None:
            raise Unclear(f"${name} has no value")
        return values[name]
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, text)


class Context:
    """What the build sees of a folder: an allow-list, `*` and then lines with `!`."""

    def __init__(self, root, ignore):
        lines = [line for line in ignore.splitlines() if line and not line.startswith("#")]
        if not lines or lines[0] != "*" or any(not re.fullmatch(r"![\w./-]+", line) for line in lines[1:]):
            raise Unclear("the .dockerignore is `*` and then what is let through, one path a line")
        self.root, self.allowed = root, [line[1:] for line in lines[1:]]

    def holds(self, path):
        """Whether the build sees anything at a path."""
        path = posixpath.normpath(path)
        within = any(f"{path}/".startswith(f"{one}/") or f"{one}/".startswith(f"{path}/") for one in self.allowed)
        return within and (self.root / path).exists()

    def files(self, path):
        """Files at or below a path that the build sees, relative to the root."""
        path = posixpath.normpath(path)
        inside = [one for one in self.allowed if f"{one}/".startswith(f"{path}/")] or [path]
        for one in sorted(inside):
            here = self.root / one
            found = sorted(here.rglob("*")) if here.is_dir() else [here]
            yield from (file.relative_to(self.root) for file in found if file.is_file() and self.holds(str(file.relative_to(self.root))))


def context():
    return Context(ROOT, PATH.with_name("Dockerfile.dockerignore").read_text())
