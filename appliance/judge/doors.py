"""Through which door somebody tried to come in, and so which bans keep him out."""

from appliance.model import AuthEvent, Outcome, Protocol, Scope

_AT_PORT_25 = frozenset({Outcome.RECIPIENT_UNKNOWN, Outcome.MAIL_ACCEPTED})
"""What happens at port 25 only."""
_ELSEWHERE = ("/submission/", "/smtps/")
"""Postfix services that listen on other ports: `postfix/submission/smtpd`."""


def door_of(event: AuthEvent) -> Scope:
    """The scope that a ban must have to keep this out; `all` where only that one does.

    Postfix offers logins on port 25 as well, and its service's name alone says which port it was.
    """
    if event.protocol is Protocol.SSH:
        return Scope.ALL
    if event.outcome in _AT_PORT_25:
        return Scope.SMTP_IN
    if event.protocol is Protocol.SMTP and not any(service in event.program for service in _ELSEWHERE):
        return Scope.SMTP_IN
    return Scope.LOGIN
