"""What schemathesis has to know of our APIs: how their scalars look, ids that are there, and what an answer may be.

Each operation of the schema is called with what its types allow, sense and nonsense. The law is small: whatever is asked, the
answer is JSON with a status that is no failure of ours, and each of its errors has a code of the closed list, which is none that
tells of a defect. `script/test-contract` runs it.
"""

import os
import pathlib
import random
import re

import graphql
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis.graphql import nodes

ROOT = pathlib.Path(__file__).parents[2]


def codes():
    """The closed list of codes, as the README tells it, but for what says that something is wrong with us."""
    text = (ROOT / "README.md").read_text().split("| Code | Meaning |")[1].split("\n\n")[0]
    listed = set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE))
    assert len(listed) > 10, listed
    return listed - {"INTERNAL_ERROR", "TIMEOUT"}


def known_ids():
    """Ids of things that are there, by the first page of what the caller may list."""
    lists = os.environ.get("CONTRACT_LISTS", "").split()
    document = "{ " + " ".join(f"{name}(first: 20) {{ nodes {{ id }} }}" for name in lists) + " }"
    if not lists:
        return []
    answer = requests.post(
        os.environ["CONTRACT_URL"],
        json={"query": document},
        headers={"Authorization": f"Bearer {os.environ['CONTRACT_TOKEN']}"},
        timeout=30,
    ).json()
    assert "errors" not in answer, answer["errors"]
    return [node["id"] for connection in answer["data"].values() for node in connection["nodes"]]


CODES = codes()
# Shops that operators' documents may be about.
SLUGS = os.environ.get("CONTRACT_SLUGS", "").split()
IDS = known_ids()


def text(values):
    """A scalar that is written as a string."""
    return values.map(nodes.String)


two_digits = st.integers(0, 99).map("{:02}".format)
# Days and times that are, and some that are not: a month has up to 99 here.
days = st.builds("{:04}-{}-{}".format, st.integers(0, 9999), two_digits, two_digits) | st.dates().map(str)
times = st.datetimes().map(lambda time: time.isoformat() + "Z") | days
amounts = st.decimals(allow_nan=False, allow_infinity=False).map(str) | st.sampled_from(["0", "12.90", "-1", "1e9", "0.001", ""])
isbns = st.sampled_from(["9780261103573", "9780261103574", "978-0261103573"]) | st.text(max_size=20)
keys = st.text(st.characters(codec="ascii"), max_size=300)
leaf = st.none() | st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.text(max_size=20)

schemathesis.graphql.scalar("Date", text(days))
schemathesis.graphql.scalar("DateTime", text(times))
schemathesis.graphql.scalar("Decimal", text(amounts))
schemathesis.graphql.scalar("Isbn13", text(isbns))
schemathesis.graphql.scalar("IdempotencyKey", text(keys))
schemathesis.graphql.scalar("JSON", leaf.map(lambda value: nodes.Null if value is None else (
    nodes.Boolean(value) if isinstance(value, bool) else nodes.Int(value) if isinstance(value, int) else nodes.String(value))))


class Sense(graphql.Visitor):
    """Makes some of the nonsense sense: ids that are there, by the argument's name, and pages from one end alone."""

    def __init__(self, operation, chance):
        super().__init__()
        self.operation, self.chance = operation, chance

    def known(self, name):
        """An id of the kind that an argument's name tells, or else its operation's; or a shop's name."""
        if name in ("slug", "tenant"):
            return self.chance.choice(SLUGS) if SLUGS else None
        if not re.fullmatch(r"id|\w+Id", name) or not IDS:
            return None
        word = re.match("[a-z]+", self.operation if name == "id" else name)[0].removesuffix("s")
        fitting = [it for it in IDS if it.startswith(f"{word}_")] or IDS
        return self.chance.choice(fitting)

    def enter(self, node, *_):
        if not isinstance(node, (graphql.ArgumentNode, graphql.ObjectFieldNode)):
            return None
        name = node.name.value
        if isinstance(node, graphql.ArgumentNode) and name in ("last", "before", "after"):
            return graphql.REMOVE
        if isinstance(node.value, graphql.StringValueNode) and (known := self.known(name)):
            return type(node)(name=node.name, value=nodes.String(known))
        return None


@schemathesis.hook
def map_body(context, body):
    """Every other document is left as it is. What is decided is told by the document, so that a seed tells the run."""
    chance = random.Random(graphql.print_ast(body))
    if chance.random() < 0.5:
        return body
    return graphql.visit(body, Sense(context.operation.definition.field_name, chance))


@schemathesis.check
def answers_as_declared(ctx, response, case):
    """Whatever is asked, it is answered by what the README declares."""
    assert response.status_code < 500, f"status {response.status_code}"
    answer = response.json()
    for error in answer.get("errors", []):
        code = error.get("extensions", {}).get("code")
        assert code in CODES, f"{code}: {error.get('message')}"
        assert error["extensions"].get("requestId"), "an error without the id of its request"
    assert "data" in answer or answer.get("errors"), "neither data nor errors"
