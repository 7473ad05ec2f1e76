"""Builds the channels that the configuration asks for: one for each table below `[notify]`."""

import socket
from collections.abc import Awaitable, Callable

from appliance.config.schema import Config
from appliance.notify.alertmanager import AlertmanagerChannel
from appliance.notify.alerts import Alerts
from appliance.notify.channel import Channel, Count
from appliance.notify.mail.digest import Day
from appliance.notify.mail.mailer import EmailChannel
from appliance.notify.siem.siem import SiemChannel
from appliance.notify.webhook import WebhookChannel
from appliance.notify.zmauditswatch import ZmauditswatchChannel


def host_of(config: Config) -> str:
    """How this gateway calls itself."""
    return config.notify.host or socket.gethostname()


def channels_of(
    config: Config,
    host: str,
    day: Callable[[], Awaitable[Day]],
    count: Callable[[str], Count],
    clock: Callable[[], float],
    alerts: Alerts | None = None,
) -> list[Channel]:
    """The channels, in the order of the configuration's tables. `count` gives what counts for a channel, by its name;
    `day` tells what the digest is made of; `alerts` are those that an earlier configuration's channel held up."""
    notify = config.notify
    channels: list[Channel] = []
    if notify.email:
        counting = count(EmailChannel.name)
        channels.append(EmailChannel(notify.email, host, notify.runbooks, config.zone, day, counting, clock))
    if notify.alertmanager:
        counting = count(AlertmanagerChannel.name)
        channels.append(AlertmanagerChannel(notify.alertmanager, host, notify.runbooks, counting, clock, alerts))
    if notify.webhook:
        channels.append(WebhookChannel(notify.webhook, host, count(WebhookChannel.name), clock))
    if notify.zmauditswatch:
        counting = count(ZmauditswatchChannel.name)
        channels.append(ZmauditswatchChannel(notify.zmauditswatch, host, counting, clock))
    if notify.siem:
        channels.append(SiemChannel(notify.siem, host, count(SiemChannel.name), clock))
    return channels
