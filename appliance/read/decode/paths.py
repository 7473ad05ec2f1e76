"""What a request's path says of the protocol: mailboxd's servlets and the proxy's locations are the same."""

from appliance.model import Protocol

_BY_PATH = (
    (b"/service/soap", Protocol.SOAP),
    (b"/service/admin/", Protocol.ADMIN),
    (b"/zimbraadmin", Protocol.ADMIN),
    (b"/microsoft-server-activesync", Protocol.EAS),
    (b"/ews/", Protocol.EWS),
    (b"/dav", Protocol.DAV),
    (b"/service/dav", Protocol.DAV),
    (b"/principals/", Protocol.DAV),
    (b"/.well-known/c", Protocol.DAV),  # caldav and carddav (RFC 6764 5)
)


def protocol_of(path: bytes) -> Protocol:
    """What is spoken at a path of Zimbra's web service; plain HTTP where it is no path that is known."""
    lower = path.lower()
    return next((protocol for prefix, protocol in _BY_PATH if lower.startswith(prefix)), Protocol.HTTP)
