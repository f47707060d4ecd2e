"""What the outside gets to read of an incident: a Slack message, or the document with a signature."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from kubetriage.contracts.diagnosis import Incident
from kubetriage.contracts.incidents import AlertIncident, IncidentEvent, IncidentNotification

# https://docs.slack.dev/reference/block-kit/blocks: characters of a header, of a section
_HEADER = 150
_SECTION = 3000
_LINE = 300
_HEADINGS: dict[IncidentEvent, str] = {
    "diagnosed": "Diagnosed",
    "failed": "Could not be diagnosed",
    "resolved": "Resolved",
}


def slack_message(event: IncidentEvent, incident: AlertIncident) -> bytes:
    """The body of an incoming webhook of Slack's kind (Mattermost and Rocket.Chat take it too)."""
    group = incident.alerts
    heading = f"{_HEADINGS[event]}: {group.alert}"
    where = " ".join(
        part for part in (group.cluster, group.namespace, f"{group.kind}/{group.name}" if group.name else None) if part
    )
    lines = [f"*{escaped(heading)}*" + (f" in {escaped(where)}" if where else "")]
    lines += [escaped(text) for text in (group.summary, incident.headline, incident.reason) if text]
    if event == "diagnosed" and incident.diagnosis and incident.diagnosis.present:
        lines += _first(incident.diagnosis.present[0])
    body = "\n".join(lines)[:_SECTION]
    about = [f"{incident.id}, {incident.status}, severity {escaped(group.severity or 'unknown')}"]
    # The links were checked when they came in: nothing in them can end one.
    about += [f"<{link.replace('&', '&amp;')}|Prometheus>" for link in group.links[:1]]
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": heading[:_HEADER], "emoji": False}},
        {"type": "section", "text": _mrkdwn(body)},
        {"type": "context", "elements": [_mrkdwn(" · ".join(about)[:_SECTION])]},
    ]
    return json.dumps({"text": escaped(incident.headline or heading)[:_SECTION], "blocks": blocks}).encode()


def document(event: IncidentEvent, incident: AlertIncident) -> bytes:
    """The body of the generic webhook: an IncidentNotification."""
    told = incident.model_copy(update={"notifications": ()})
    return IncidentNotification(event=event, incident=told).model_dump_json().encode()


def signature_headers(body: bytes, key: str, now: int) -> dict[str, str]:
    """``now``: Unix seconds. The signature covers it, so that an old message cannot be sent again as a new one."""
    digest = hmac.new(key.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Kubetriage-Timestamp": str(now), "X-Kubetriage-Signature": f"v1={digest}"}


def escaped(text: str) -> str:
    """Text in which Slack sees no link, mention or entity
    (https://docs.slack.dev/messaging/formatting-message-text#escaping)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _first(incident: Incident) -> list[str]:
    finding = incident.root_cause
    lines = [escaped(finding.explanation)]
    lines += [f"> {escaped(evidence.quote[:_LINE])}" for evidence in finding.evidence[:2]]
    # Backticks would end the code; no command of ours has any.
    commands = [step.command.replace("`", "'") for step in finding.remediation if step.command and step.changes]
    return lines + [f"```{escaped(command[:_LINE])}```" for command in commands[:1]]


def _mrkdwn(text: str) -> dict[str, Any]:
    # Verbatim: Slack makes no links of names that look like some.
    return {"type": "mrkdwn", "text": text, "verbatim": True}
