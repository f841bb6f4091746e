"""The template, as plain values: intrinsic functions are {"Ref": ...}, {"Fn::GetAtt": [...]} and so on."""

import pathlib

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATH = ROOT / "deploy" / "template.yaml"


class Loader(yaml.SafeLoader):
    """CloudFormation's YAML: no aliases, no key twice, intrinsics as tags."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise SystemExit(f"deploy/template.yaml:{self.peek_event().start_mark.line + 1}: CloudFormation takes no aliases")
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise SystemExit(f"deploy/template.yaml:{node.start_mark.line + 1}: {', '.join(twice)} stands there twice")
        return super().construct_mapping(node, deep)


def intrinsic(loader, tag, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if tag == "GetAtt":
        value = value.split(".", 1)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


Loader.add_multi_constructor("!", intrinsic)


class Template:
    def __init__(self, text):
        self.text = text
        self.body = yaml.load(text, Loader)
        self.parameters = self.body["Parameters"]
        self.resources = self.body["Resources"]

    def of(self, kind):
        """Properties of the resources of a kind, by name."""
        return {name: r.get("Properties", {}) for name, r in self.resources.items() if r["Type"] == kind}

    def default(self, name):
        return self.parameters[name].get("Default")


def load():
    return Template(PATH.read_text())


def chosen(entry, off=frozenset()):
    """What Fn::If leaves of an entry where the conditions in `off` do not hold and all others do; None where it leaves nothing."""
    while isinstance(entry, dict) and "Fn::If" in entry:
        condition, then, otherwise = entry["Fn::If"]
        entry = otherwise if condition in off else then
    return None if entry == {"Ref": "AWS::NoValue"} else entry


def left(entries, off=frozenset()):
    """What Fn::If leaves of a list."""
    return [entry for entry in (chosen(entry, off) for entry in entries) if entry is not None]


def each(value):
    """A list of what may stand alone."""
    return value if isinstance(value, list) else [value]


def text(value):
    """A value that may hold intrinsics, as one line to look into."""
    if isinstance(value, dict) and len(value) == 1:
        (kind, inner), = value.items()
        if kind == "Ref":
            return f"${{{inner}}}"
        if kind == "Fn::GetAtt":
            return "${" + ".".join(inner) + "}"
        if kind == "Fn::Sub":
            return inner if isinstance(inner, str) else inner[0]
    return str(value)
