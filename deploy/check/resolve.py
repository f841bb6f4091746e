"""What a property is once a stack stands: parameters, names and addresses put in."""

import base64
import re

from emulator import ACCOUNT, REGION

PSEUDO = {"AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::Partition": "aws", "AWS::NoValue": None}


class Resolver:
    def __init__(self, template, parameters, ids, attribute):
        """`ids`: physical ids by logical name; `attribute(name, attribute)`: what Fn::GetAtt gives."""
        self.template, self.parameters, self.ids, self.attribute = template, parameters, ids, attribute

    def holds(self, condition):
        return self.condition(self.template.body["Conditions"][condition])

    def condition(self, value):
        (kind, inner), = value.items()
        if kind == "Condition":
            return self.holds(inner)
        if kind == "Fn::And":
            return all(map(self.condition, inner))
        if kind == "Fn::Not":
            return not self.condition(inner[0])
        if kind == "Fn::Equals":
            one, two = map(self.value, inner)
            return one == two
        raise ValueError(kind)

    def ref(self, name):
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.parameters:
            value = self.parameters[name]
            kind = self.template.parameters[name]["Type"]
            return value.split(",") if kind.startswith("List") or kind == "CommaDelimitedList" else value
        return self.ids[name]

    def sub(self, text):
        def one(match):
            name = match[1]
            if "." in name:
                return str(self.attribute(*name.split(".", 1)))
            return str(self.ref(name))
        return re.sub(r"\$\{([\w.:]+)\}", one, text)

    def value(self, value):
        if isinstance(value, list):
            return [item for item in map(self.value, value) if item is not None]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (kind, inner), = value.items()
            if kind == "Ref":
                return self.ref(inner)
            if kind == "Fn::GetAtt":
                return self.attribute(*inner)
            if kind == "Fn::Sub":
                return self.sub(inner)
            if kind == "Fn::If":
                return self.value(inner[1] if self.holds(inner[0]) else inner[2])
            if kind == "Fn::Base64":
                return base64.b64encode(self.value(inner).encode()).decode()
            if kind.startswith("Fn::"):
                raise ValueError(kind)
        return {key: inner for key, inner in ((k, self.value(v)) for k, v in value.items()) if inner is not None}
