"""Names: completed from those that there are, and not given twice by mistake; people found by likeness."""

import secrets

from playwright.sync_api import expect

from bench import check, find_card, rename, toast, undo
from server import settled


@check("naming: completed from the names that there are; a name that is taken offers a merge")
def taken(b):
    one, two, name = b.people[0], b.people[1], f"Zora {secrets.token_hex(3)}"
    change = b.api.name(one["id"], name)["change"]
    before = b.api.ids(one["id"]), b.api.ids(two["id"])
    was = b.api.get(f"/v1/people/{two['id']}")["name"]
    page = b.open()
    card = find_card(page, two)
    card.get_by_test_id("rename").click()
    field = card.get_by_test_id("rename-input")
    field.fill(name[:7].lower())
    expect(card.get_by_test_id("name-option")).to_have_text(name + f"{len(before[0])} faces")
    field.press("ArrowDown")
    expect(card.get_by_role("option", selected=True)).to_have_count(1)
    field.press("Enter")
    expect(field).to_have_value(name)
    field.press("Enter")
    dialog = page.get_by_test_id("evidence-dialog")
    expect(dialog.get_by_test_id("evidence-note")).to_contain_text(name)
    # Cancelled, nothing is said, and what was typed stays.
    page.get_by_test_id("dialog-cancel").click()
    expect(field).to_have_value(name)
    assert b.api.get(f"/v1/people/{two['id']}")["name"] == was
    field.press("Enter")
    page.get_by_test_id("dialog-merge").click()
    toast(page)
    settled(lambda: before[0] | before[1] == b.api.ids(one["id"]))
    assert b.api.get(f"/v1/people/{one['id']}")["name"] == name
    undo(page)
    settled(lambda: (b.api.ids(one["id"]), b.api.ids(two["id"])) == before)
    # Two people may have one name, where somebody says so.
    card = find_card(page, two)
    rename(card, name.upper())
    page.get_by_test_id("dialog-not-same").click()
    settled(lambda: b.api.get(f"/v1/people/{two['id']}")["name"] == name.upper())
    undo(page)
    settled(lambda: b.api.get(f"/v1/people/{two['id']}")["name"] == was)
    b.api.undo(change)


@check("naming: Escape closes the names first, then the field")
def escape(b):
    one, two, name = b.people[0], b.people[1], f"Yara {secrets.token_hex(3)}"
    change = b.api.name(one["id"], name)["change"]
    page = b.open(f"#/people/{two['id']}")
    b.idle(page)
    page.get_by_test_id("person-rename").click()
    field = page.get_by_test_id("rename-input")
    field.fill(name[:6])
    expect(page.get_by_test_id("name-option").first).to_be_visible()
    expect(field).to_have_attribute("aria-expanded", "true")
    field.press("Escape")
    expect(page.get_by_test_id("names")).to_be_hidden()
    expect(field).to_be_visible()
    field.press("Escape")
    expect(field).to_have_count(0)
    b.api.undo(change)


@check("choosing a person: the likest comes first")
def likest(b):
    person = b.people[3]
    chosen = b.api.faces(person["id"])[0]["id"]
    split = b.api.ask("POST", f"/v1/people/{person['id']}/split", {"faces": [chosen]})
    part = next(moved["to"] for moved in split["moved"] if moved["face"] == chosen)
    page = b.open(f"#/people/{part}")
    page.get_by_test_id("person-merge").click()
    expect(page.get_by_role("dialog").get_by_role("status")).to_contain_text("Most alike first.")
    expect(page.get_by_test_id("choice").first).to_have_attribute("data-person", person["id"])
    page.keyboard.press("Escape")
    # Where nobody can tell, names are in order, and those without come last.
    changes = [b.api.name(one["id"], name)["change"] for one, name in ((b.people[0], "Bea"), (b.people[1], "Abe"))]
    page.route("**/v1/recognize?*", lambda route: route.abort())
    page.get_by_test_id("person-merge").click()
    expect(page.get_by_role("dialog").get_by_role("status")).to_contain_text("By name.")
    names = [name for name in page.get_by_test_id("choice").locator(".name").all_inner_texts()]
    assert names[:2] == ["Abe", "Bea"], names
    for change in [*reversed(changes), split["change"]]:
        b.api.undo(change)
