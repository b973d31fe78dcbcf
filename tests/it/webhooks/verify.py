"""Verifies deliveries as a receiver would, by the Python library of Standard Webhooks: cases in, answers out."""

import base64
import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def answer(case):
    try:
        Webhook(case["secret"]).verify(base64.b64decode(case["body"]), case["headers"])
    except WebhookVerificationError:
        return "refused"
    return "accepted"


json.dump([answer(case) for case in json.load(sys.stdin)], sys.stdout)
