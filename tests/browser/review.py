"""The questions that muster has."""

import json

from playwright.sync_api import expect

from bench import check, toast
from server import settled


def questions(b, page, pairs):
    """The page gets these questions, `(face, person)` each, until they are answered; answers go to the server."""
    posted = []

    def suggestions(route):
        if route.request.method == "POST":
            answer = json.loads(route.request.post_data)
            told = route.fetch()
            posted.append({**answer, "change": told.json()["change"]})
            return route.fulfill(response=told)
        open = [pair for pair in pairs if not any((one["face"], one["person"]) == (pair[0]["id"], pair[1]["id"]) for one in posted)]
        items = [{"face": face, "person": {"id": person["id"], "name": person["name"]}, "probability": 0.5, "faces": 4} for face, person in open]
        return route.fulfill(json={"items": items, "total": len(items)})

    page.route("**/v1/suggestions*", suggestions)
    return posted


def cover(b, person):
    return b.api.get(f"/v1/faces/{b.api.get('/v1/people/' + person['id'])['cover']}")


@check("questions: yes, no and skip, by buttons and by keys; counted down, and said when over")
def answers(b):
    one, two, three = b.people[0], b.people[1], b.people[2]
    change = b.api.name(one["id"], "Anna Q")["change"]
    named = {**one, "name": "Anna Q"}
    before = b.api.ids(one["id"]), b.api.ids(two["id"])
    asked = [(cover(b, two), named), (cover(b, three), named), (cover(b, two), {**three, "name": None})]
    posted = []
    page = b.open("#/recognize", before=lambda page: posted.append(questions(b, page, asked)))
    posted = posted[0]
    page.goto(f"{b.base}/#/people")
    link = page.get_by_test_id("to-review")
    expect(link).to_have_text("Answer 3 questions")
    # A letter means an answer in the question only.
    page.keyboard.press("y")
    link.click()
    expect(page.get_by_test_id("question")).to_have_text("Is this Anna Q?")
    expect(page.get_by_test_id("questions-left")).to_have_text("3 questions left")
    sizes = [box["width"] for box in (img.bounding_box() for img in page.locator(".question-faces img").all())]
    assert len(sizes) == 2 and min(sizes) > 280, f"small faces: {sizes}"
    expect(page.get_by_test_id("question")).to_be_focused()
    b.shot(page, "light-question")
    page.get_by_test_id("undo").focus()
    page.keyboard.press("n")
    assert not posted, "a letter beside the question answered it"
    page.get_by_test_id("question").focus()
    page.keyboard.press("n")
    expect(page.get_by_test_id("questions-left")).to_have_text("2 questions left")
    page.keyboard.press("S")
    expect(page.get_by_test_id("questions-left")).to_have_text("1 question left")
    expect(page.get_by_test_id("question")).to_have_text("Are these one person?")
    page.get_by_test_id("answer-yes").click()
    toast(page)
    expect(page.get_by_test_id("questions-over")).to_be_visible()
    expect(page.get_by_test_id("answer-yes")).to_be_hidden()
    assert [one["answer"] for one in posted] == ["no", "skip", "yes"], posted
    settled(lambda: before[1] <= b.api.ids(three["id"]))
    for one_answer in reversed(posted):
        b.api.undo(one_answer["change"])
    b.api.undo(change)
    settled(lambda: (b.api.ids(one["id"]), b.api.ids(two["id"])) == before)


@check("questions: none, and the list does not offer them")
def none(b):
    page = b.open("#/review", before=lambda page: questions(b, page, []))
    expect(page.get_by_test_id("questions-over")).to_be_visible()
    page.get_by_role("link", name="All people").first.click()
    expect(page.get_by_test_id("person").first).to_be_visible()
    b.idle(page)
    expect(page.get_by_test_id("to-review")).to_be_hidden()
