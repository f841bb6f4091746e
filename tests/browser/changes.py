"""What can be said about people, and taken back."""

import re
import secrets

from playwright.sync_api import expect

from bench import check, choose, face, find_card, rename, toast, undo
from server import settled


@check("rename in place: Escape leaves, Enter saves, an undo takes it back")
def rename_in_place(b):
    person, name = b.people[1], f"Grace {secrets.token_hex(3)}"
    before = b.api.get(f"/v1/people/{person['id']}")["name"]
    page = b.open()
    card = find_card(page, person)
    card.get_by_test_id("rename").click()
    card.get_by_test_id("rename-input").fill("not this")
    card.get_by_test_id("rename-input").press("Escape")
    expect(card.get_by_test_id("person-link")).to_be_focused()
    assert b.api.get(f"/v1/people/{person['id']}")["name"] == before
    rename(card, name)
    message = toast(page)
    expect(card).to_contain_text(name)
    assert b.api.get(f"/v1/people/{person['id']}")["name"] == name
    message.get_by_test_id("toast-undo").click()
    settled(lambda: b.api.get(f"/v1/people/{person['id']}")["name"] == before)
    expect(card).not_to_contain_text(name)


@check("drawn anew: the focus and what is being typed stay")
def drawn_anew(b):
    page = b.open(f"#/people/{b.people[1]['id']}")

    def anew():
        page.evaluate("document.dispatchEvent(new CustomEvent('muster:changed', { detail: {} }))")
        b.idle(page)

    b.idle(page)  # What is drawn for the first time takes the focus to its heading.
    page.get_by_test_id("person-merge").focus()
    anew()
    expect(page.get_by_test_id("person-merge")).to_be_focused()
    page.get_by_test_id("person-rename").click()
    field = page.get_by_test_id("rename-input")
    field.fill("half a na")
    anew()
    expect(field).to_be_focused()
    expect(field).to_have_value("half a na")


@check("merge: covers, faces and reason side by side, then one person, then undone")
def merge(b):
    one, two = b.people[0], b.people[1]
    before = b.api.ids(one["id"]), b.api.ids(two["id"])
    page = b.open(f"#/people/{one['id']}")
    page.get_by_test_id("person-merge").click()
    choose(page, two)
    dialog = page.get_by_test_id("evidence-dialog")
    covers = [b.api.get(f"/v1/people/{person['id']}")["cover"] for person in (one, two)]
    why = b.api.get(f"/v1/faces/{covers[0]}/why/{covers[1]}")
    told = dialog.get_by_test_id("why")
    expect(told).to_contain_text("muster has them together." if why["together"] else "muster has them apart.")
    figures = told.locator("dl")
    expect(figures).to_be_hidden()
    told.locator("summary").click()
    expect(figures).to_contain_text(f"{why['similarity']:.2f}")
    expect(figures).to_contain_text(" ".join(why["text"].split()))
    assert dialog.locator("img").count() >= 6
    expect(dialog.locator("img.blank")).to_have_count(0)
    b.shot(page, "light-evidence")
    page.get_by_test_id("dialog-merge").click()
    message = toast(page)
    settled(lambda: before[0] | before[1] <= b.api.ids(one["id"]))
    assert b.api.get(f"/v1/people/{one['id']}")["id"] == b.api.get(f"/v1/people/{two['id']}")["id"], "two ids"
    message.get_by_test_id("toast-undo").click()
    settled(lambda: (b.api.ids(one["id"]), b.api.ids(two["id"])) == before)


@check("split: a face that is somebody else's leaves, and comes back with an undo")
def split(b):
    person = b.people[0]
    before = b.api.ids(person["id"])
    chosen = b.api.faces(person["id"])[-1]["id"]
    page = b.open(f"#/people/{person['id']}")
    face(page, chosen).click()
    expect(page.get_by_test_id("selection-count")).to_contain_text("1 of")
    page.get_by_test_id("faces-split").click()
    toast(page)
    settled(lambda: chosen not in b.api.ids(person["id"]))
    expect(page.locator(f"[data-face='{chosen}']")).to_have_count(0)
    undo(page)
    settled(lambda: b.api.ids(person["id"]) == before)
    expect(face(page, chosen)).to_be_visible()


@check("move: a range of faces to another person, and back")
def move(b):
    one, two = b.people[2], b.people[3]
    before = b.api.ids(one["id"])
    page = b.open(f"#/people/{one['id']}")
    tiles = page.get_by_test_id("face")
    tiles.nth(1).click()
    tiles.nth(2).click(modifiers=["Shift"])
    chosen = {tiles.nth(at).get_attribute("data-face") for at in (1, 2)}
    expect(page.get_by_test_id("selection-count")).to_contain_text("2 of")
    page.get_by_test_id("faces-move").click()
    choose(page, two)
    toast(page)
    settled(lambda: chosen <= b.api.ids(two["id"]))
    undo(page)
    settled(lambda: b.api.ids(one["id"]) == before)


@check("faces in no group: two become a new person, and are apart again")
def ungrouped(b):
    alone, pair = {}, None
    for one in b.api.all("/v1/faces", in_group="false"):
        folder = re.search(r"P\d{3}/", one["path"])
        other = folder and alone.setdefault(folder[0], one)
        if other and other["photo"] != one["photo"]:
            pair = (other["id"], one["id"])
            break
    if not pair:
        return "no two such faces of one person here"
    page = b.open("#/faces")
    for id in pair:
        face(page, id).click()
    page.get_by_test_id("faces-merge").click()
    toast(page)
    group = lambda id: (b.api.get(f"/v1/faces/{id}")["person"] or {}).get("id")
    settled(lambda: group(pair[0]) and group(pair[0]) == group(pair[1]))
    undo(page)
    settled(lambda: not group(pair[0]) or group(pair[0]) != group(pair[1]))
