"""The server, asked without the page: what the page did must be true there."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request

# Seconds that anything may take: other tests may have the machine, and only a wait that is over tells something.
TIMEOUT_SECONDS = 90


class Api:
    def __init__(self, base, key):
        self.base, self.key = base.rstrip("/"), key

    def ask(self, method, path, body=None):
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base}{path}", data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            return json.load(answer)

    def get(self, path, **params):
        return self.ask("GET", path + (f"?{urllib.parse.urlencode(params)}" if params else ""))

    def name(self, person, name):
        """Gives a person a name without the page; the Change."""
        return self.ask("PATCH", f"/v1/people/{person}", {"name": name})

    def undo(self, change):
        return self.ask("POST", f"/v1/undo?change={change}")

    def all(self, path, **params):
        cursor = {}
        while True:
            page = self.get(path, limit=100, **params, **cursor)
            yield from page["items"]
            if not page["next"]:
                return
            cursor = {"cursor": page["next"]}

    def faces(self, person):
        return list(self.all(f"/v1/people/{person}/faces"))

    def ids(self, person):
        return {face["id"] for face in self.faces(person)}

    def missing(self, path):
        try:
            self.get(path)
        except urllib.error.HTTPError as error:
            return error.code == 404
        return False

    def subjects(self):
        """People who are one person of the demo photos and nobody else, with four faces at least."""
        found = []
        for number in range(1, 11):
            folder = f"P{number:03}/"
            for person in self.get("/v1/people", q=folder, limit=5)["items"]:
                faces = self.faces(person["id"])
                if len(faces) >= 4 and all(folder in face["path"] for face in faces):
                    found.append({**person, "folder": folder, "all": faces})
                    break
        assert len(found) >= 5, f"only {len(found)} of the ten people are groups of their own with four faces"
        return found


def settled(what):
    """Waits until the server has it so."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while not what():
        assert time.monotonic() < end, "the server does not have it so"
        time.sleep(0.1)
