import pytest

from appliance.model import Protocol
from appliance.read.decode.paths import protocol_of


@pytest.mark.parametrize(
    ("path", "protocol"),
    [
        (b"/service/soap/AuthRequest", Protocol.SOAP),
        (b"/service/admin/soap/", Protocol.ADMIN),
        (b"/zimbraAdmin/", Protocol.ADMIN),
        (b"/Microsoft-Server-ActiveSync", Protocol.EAS),
        (b"/EWS/Exchange.asmx", Protocol.EWS),
        (b"/dav/ana@example.com/Calendar/", Protocol.DAV),
        (b"/.well-known/caldav", Protocol.DAV),
        (b"/home/ana/inbox.rss", Protocol.HTTP),
        (b"", Protocol.HTTP),
    ],
)
def test_a_path_tells_the_protocol(path, protocol):
    assert protocol_of(path) is protocol
