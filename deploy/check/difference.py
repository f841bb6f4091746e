"""What an API says of a resource beside what the template says: only what the template names is compared."""

import ast
import json

# By which two entries of a list are the same one.
KEYS = ("Key", "Name", "Sid", "Id", "PolicyName", "FromPort", "Type")


def plain(value):
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return str(float(value)).removesuffix(".0")
    except (TypeError, ValueError):
        return str(value)


def parsed(value):
    """What a string that holds JSON says, or a dictionary as Python writes one (moto does, in roles)."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        for read in (json.loads, ast.literal_eval):
            try:
                return read(value)
            except (ValueError, SyntaxError):
                pass
    return value


def pairs(wanted, got):
    """Entries of two lists, side by side."""
    def fold(entry):
        return {key.lower(): inner for key, inner in entry.items()} if isinstance(entry, dict) else entry
    key = next((k for k in KEYS if all(isinstance(e, dict) and k in e for e in wanted)), None)
    if key is None:
        return zip(wanted, got + [None] * len(wanted))
    named = {str(fold(entry).get(key.lower())): entry for entry in got}
    return ((entry, named.get(str(entry[key]))) for entry in wanted)


def differences(wanted, got, path=""):
    """Pairs of a path and what became of it."""
    wanted, got = parsed(wanted), parsed(got)
    if isinstance(got, (dict, list)) and not isinstance(wanted, (dict, list)):
        got = got[0] if isinstance(got, list) and len(got) == 1 else got
    if isinstance(wanted, dict):
        if not isinstance(got, dict):
            return [(path, f"changed: {got}")]
        folded = {key.lower(): value for key, value in got.items()}
        out = []
        for key, value in wanted.items():
            below = f"{path}.{key}" if path else key
            if folded.get(key.lower()) is None:
                out.append((below, "dropped"))
            else:
                out += differences(value, folded[key.lower()], below)
        return out
    if isinstance(wanted, list):
        if not isinstance(got, list):
            got = [got]
        if not any(isinstance(entry, (dict, list)) for entry in wanted):
            same = sorted(map(plain, wanted)) == sorted(map(plain, got))
            return [] if same else [(path, f"changed: {got}")]
        out = []
        for one, two in pairs(wanted, got):
            out += [(f"{path}[]", "dropped")] if two is None else differences(one, two, f"{path}[]")
        return out
    return [] if plain(wanted) == plain(got) else [(path, f"changed: {got}")]
